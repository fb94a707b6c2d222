#include <fmt/format.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <ctime>

#include "command.h"

namespace stac {

std::atomic<bool> stop_requested{false};

namespace {

// Range checks let "nan" pass.
void RefuseNan(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_type_name().starts_with("FLOAT")) continue;
    for (const std::string& text : option->results()) {
      if (std::isnan(std::strtod(text.c_str(), nullptr)))
        throw CLI::RuntimeError(fmt::format("{} is {}: give a number", option->get_name(), text),
                                1);
    }
  }
}

// Whoever asks again two seconds later does not want to wait for an orderly end. (Terminals and
// parents may ask once each.)
void Stop(int signal) {
  static volatile std::sig_atomic_t first = 0;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (!stop_requested.exchange(true)) {
    first = static_cast<std::sig_atomic_t>(now.tv_sec);
  } else if (now.tv_sec - first > 2) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

CLI::App* AddCommand(CLI::App& app, const std::string& name, const std::string& description,
                     const std::string& examples, RunCommand run) {
  CLI::App* command = app.add_subcommand(name, description);
  command->footer("Examples:\n" + examples);
  command->callback([command, run = std::move(run)] {
    RefuseNan(*command);
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, Stop);
    const Status status = run();
    if (!status) throw CLI::RuntimeError(status.error().message, 1);
  });
  return command;
}

}  // namespace stac
