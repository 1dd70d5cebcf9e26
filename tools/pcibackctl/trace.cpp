// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/trace.hpp"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <thread>

#include <fmt/format.h>

#include "tools/pcibackctl/arguments.hpp"
#include "tools/pcibackctl/progress.hpp"
#include "tools/pcibackctl/trace_view.hpp"

namespace client_program {
namespace {

using namespace std::chrono_literals;
using traced = tl::expected<void, complaint>;

// At 20000 operations a second of a guest's the daemon keeps what comes in ten times as long.
constexpr auto between_looks = 20ms;

complaint trace_failed(const pci::failure& why) { return {pci::failure_kind::failed, why.error, why.context}; }

pci::result<std::string> trace_request(const trace_words& words) {
  json params = json::object();
  if (!words.target.empty()) {
    const auto target = target_argument(words.target);
    if (!target) {
      return tl::unexpected(target.error());
    }
    const auto* address = std::get_if<pci::sbdf>(&*target);
    params[address != nullptr ? "address" : "domain"] =
        address != nullptr ? pci::to_string(*address) : std::get<std::string>(*target);
  }
  return json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", "trace"}, {"params", params}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
}

/// Where operations go: text, JSON lines, or a file for Wireshark.
class trace_output {
public:
  trace_output(const trace_words& words, bool as_json) : words_(words), as_json_(as_json) {}

  [[nodiscard]] pci::result<void> open() {
    if (!words_.file.empty() && words_.file != "-") {
      file_.open(words_.file, std::ios::binary | std::ios::trunc);
      if (!file_) {
        return pci::fail(errno, fmt::format("{} cannot be written: {}", words_.file, std::strerror(errno)));
      }
    }
    return captures() ? put(capture_header("pcibackctl")) : pci::result<void>{};
  }
  [[nodiscard]] pci::result<void> tell(const json& operation) {
    ++told_;
    return captures() ? capture_packet(operation).and_then([this](const std::string& text) { return put(text); })
           : as_json_ ? put(operation.dump(-1, ' ', false, json::error_handler_t::replace) + "\n")
                      : put(operation_line(operation));
  }
  [[nodiscard]] pci::result<void> tell_loss(std::uint64_t lost) {
    lost_ += lost;
    return put(captures() ? capture_loss(lost_) : as_json_ ? loss_json(lost) : loss_line(lost));
  }
  [[nodiscard]] bool done() const { return words_.count != 0 && told_ >= words_.count; }
  [[nodiscard]] pci::result<void> flush() {
    where().flush();
    return where() ? pci::result<void>{} : pci::fail(EIO, "the trace cannot be written any more");
  }

private:
  [[nodiscard]] bool captures() const { return !words_.file.empty(); }
  [[nodiscard]] std::ostream& where() { return file_.is_open() ? static_cast<std::ostream&>(file_) : std::cout; }
  [[nodiscard]] pci::result<void> put(const std::string& text) {
    where() << text;
    return where() ? pci::result<void>{} : pci::fail(EIO, "the trace cannot be written any more");
  }

  const trace_words& words_;
  bool as_json_;
  std::ofstream file_;
  std::uint64_t told_ = 0, lost_ = 0;
};

pci::result<void> tell_all(const json& batch, const trace_words& words, trace_output& to) {
  for (const auto& each : list_in(batch, "operations")) {
    if (to.done()) {
      break;
    }
    if (is_of_kind(each, words.only)) {
      if (auto told = to.tell(each); !told) {
        return told;
      }
    }
  }
  if (const auto lost = batch.value("lost", std::uint64_t{0}); lost != 0 && !to.done()) {
    if (auto told = to.tell_loss(lost); !told) {
      return told;
    }
  }
  return to.flush();
}

/// Once, on standard error: why there may be nothing to see, or not all.
class trace_remarks {
public:
  void look(const json& batch, const trace_words& words) {
    const auto guests = batch.value("guests", std::size_t{0}), untraced = batch.value("untraced", std::size_t{0});
    if (guests == 0 && untraced == 0) {
      say(words.target.empty() || words.target.find(':') != std::string::npos
              ? std::string{"no guest is connected; waiting for one"}
              : fmt::format("no guest called \"{}\" is connected; waiting for it", words.target));
    } else if (untraced != 0) {
      say(fmt::format("{} guests are too many: {} of them are not traced; name one", guests + untraced, untraced));
    }
  }

private:
  void say(const std::string& what) {
    if (!said_) {
      std::cerr << line_of({pci::failure_kind::failed, 0, what});
      said_ = true;
    }
  }
  bool said_ = false;
};

} // namespace

tl::expected<void, complaint> run_trace(const trace_words& words, const std::string& socket, bool as_json,
                                        const patience& how) {
  const auto request = trace_request(words);
  if (!request) {
    return tl::unexpected(complaint{pci::failure_kind::usage, 0, request.error().context});
  }
  auto daemon = conversation::open(socket);
  if (!daemon) {
    return tl::unexpected(unreached(daemon.error()));
  }
  trace_output to{words, as_json};
  trace_remarks remarks;
  end_on_interrupt();
  for (bool opened = false; !to.done();) {
    const auto answer = daemon->ask(*request, "trace", how);
    if (!answer) {
      return tl::unexpected(answer.error());
    }
    const auto batch = json::parse(*answer, nullptr, false);
    if (!batch.is_object()) {
      return tl::unexpected(trace_failed({EPROTO, "the daemon's trace has a form that this program does not know"}));
    }
    if (!std::exchange(opened, true)) { // not before the daemon has agreed
      if (const auto made = to.open(); !made) {
        return tl::unexpected(trace_failed(made.error()));
      }
    }
    remarks.look(batch, words);
    if (const auto told = tell_all(batch, words, to); !told) {
      return tl::unexpected(trace_failed(told.error()));
    }
    if (!batch.value("more", false) && !to.done()) {
      std::this_thread::sleep_for(between_looks);
    }
  }
  return {};
}

} // namespace client_program
