#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "command.h"
#include "lab_commands.h"
#include "stac/base/log.h"
#include "stac/base/revision.h"
#include "stac/segment/openmp_wait.h"

int main(int argc, char** argv) {
#if STAC_HAS_SERVER
  stac::RestartWithSleepingThreads(argv);
#endif
  CLI::App app(
      "Streams video to an edge server for real-time semantic segmentation, spending bits "
      "only where the network is sensitive.",
      "stac");
  app.set_version_flag("--version", stac::CodeRevision());
  app.require_subcommand(1);
  std::string log_level = "info";
  app.add_option("--log-level", log_level, "How much is told on standard error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  app.fallthrough();
  app.parse_complete_callback([&] { stac::SetUpLogging(log_level); });
  std::signal(SIGPIPE, SIG_IGN);

  stac::AddInspectCommand(app);
  stac::AddBenchCommand(app);
#if STAC_HAS_DEVICE
  stac::AddDeviceCommand(app);
#endif
#if STAC_HAS_SERVER
  stac::AddServerCommand(app);
  stac::AddCalibrateCommand(app);
  stac::AddTrainCommand(app);
#endif
#if STAC_HAS_DEVICE && STAC_HAS_SERVER
  stac::AddDemoCommand(app);
  stac::AddLabCommands(app);
  stac::AddSimulationCommands(app);
#endif

  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& error) {
    std::fprintf(stderr, "stac: %s\n", error.what());
    return error.get_exit_code();
  } catch (const CLI::ParseError& error) {
    if (const int code = app.exit(error); code != 0) return code;  // 0: help, the version
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stac: unexpected failure: %s\n", error.what());
    return 1;
  }
  // Results that nobody got are no success; who stopped reading knows.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    if (errno != EPIPE)
      std::fprintf(stderr, "stac: standard output could not be written: disk full?\n");
    return 1;
  }
  return 0;
}
