#include "platform/real/port_reader.hpp"

#include <array>
#include <span>
#include <system_error>

#include <pthread.h>

namespace platform {

pci::result<void> port_reader::start() try {
  thread_ = std::thread([this] { run(); });
  return {};
} catch (const std::system_error& error) {
  return pci::fail(error.code().value(), "cannot start the thread that waits for event channels");
}

void port_reader::stop() {
  if (!thread_.joinable())
    return;
  stopping_ = true;
  channels_.wake();
  thread_.join();
}

void port_reader::run() {
  ::pthread_setname_np(::pthread_self(), "pcibackd-ports");
  std::array<port, 256> ports; // nothing is allocated on the way of an operation
  while (!stopping_) {
    const auto count = channels_.read(ports);
    if (!count) {
      sink_.lost("the event channels", pci::to_string(count.error()));
      return;
    }
    sink_.events_begin();
    for (const port fired : std::span(ports).first(*count))
      sink_.port_fired(fired);
    sink_.events_end();
  }
}

} // namespace platform
