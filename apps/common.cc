#include <csignal>

#include "command.h"

namespace stac {

std::atomic<bool> stop_requested{false};

CLI::App* AddCommand(CLI::App& app, const std::string& name, const std::string& description,
                     const std::string& examples, RunCommand run) {
  CLI::App* command = app.add_subcommand(name, description);
  command->footer("Examples:\n" + examples);
  command->callback([run = std::move(run)] {
    for (const int signal : {SIGINT, SIGTERM}) {
      std::signal(signal, [](int) { stop_requested = true; });
    }
    const Status status = run();
    if (!status) throw CLI::RuntimeError(status.error().message, 1);
  });
  return command;
}

}  // namespace stac
