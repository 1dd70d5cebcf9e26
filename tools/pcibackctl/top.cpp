// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/top.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <utility>

#include <fmt/format.h>
#define NCURSES_NOMACROS 1 // functions, which can be called as ::name()
#include <ncurses.h>
#include <unistd.h>

#include "tools/pcibackctl/top_view.hpp"

namespace client_program {
namespace {

volatile std::sig_atomic_t interrupt_came = 0;
extern "C" void note_interrupt(int) { interrupt_came = 1; }

/// Until its end Ctrl-C is only noted, so that the terminal can be left as it was.
class noted_interrupts {
public:
  noted_interrupts() {
    struct sigaction action {};
    action.sa_handler = note_interrupt;
    static_cast<void>(::sigaction(SIGINT, &action, &before_));
  }
  noted_interrupts(const noted_interrupts&) = delete;
  noted_interrupts& operator=(const noted_interrupts&) = delete;
  ~noted_interrupts() { static_cast<void>(::sigaction(SIGINT, &before_, nullptr)); }

private:
  struct sigaction before_ {};
};

/// The terminal, while it is curses'.
class full_screen {
public:
  full_screen() {
    ::initscr();
    ::cbreak();
    ::noecho();
    ::curs_set(0);
    ::keypad(stdscr, TRUE);
  }
  full_screen(const full_screen&) = delete;
  full_screen& operator=(const full_screen&) = delete;
  ~full_screen() { ::endwin(); }

  static void show(const std::string& text, std::string_view order) {
    ::erase();
    int line = 0;
    for (std::size_t at = 0; at < text.size() && line < LINES - 1; ++line) {
      const auto end = std::min(text.find('\n', at), text.size());
      if (line == 2) { // the table's heading
        ::attron(A_REVERSE);
      }
      ::mvaddnstr(line, 0, text.c_str() + at, static_cast<int>(end - at));
      ::attroff(A_REVERSE);
      at = end + 1;
    }
    ::mvaddnstr(
        LINES - 1, 0,
        fmt::format("by {}; o e i g d: sort by operations, errors, interrupts, guest, device; q: quit", order).c_str(),
        COLS);
    ::refresh();
  }
  /// A key within that time, or ERR.
  static int key(std::chrono::milliseconds within) {
    ::timeout(static_cast<int>(within.count()));
    return ::getch();
  }
};

tl::expected<top_sample, complaint> sample(conversation& daemon, const patience& how) {
  const auto asked = [&](const char* method) {
    return daemon.ask(request_line({method, {}, {}, {}, {}}), method, how);
  };
  auto list = asked("list");
  auto metrics = list ? asked("metrics") : list;
  return metrics ? tl::expected<top_sample, complaint>{top_sample{std::move(*list), std::move(*metrics)}}
                 : tl::unexpected(metrics.error());
}

/// The looks at the daemon, and the frame between the last two.
class top_looks {
public:
  top_looks(conversation& daemon, const patience& how) : daemon_(daemon), how_(how) {}

  [[nodiscard]] tl::expected<void, complaint> look() {
    auto next = sample(daemon_, how_);
    if (!next) {
      return tl::unexpected(next.error());
    }
    const auto now = std::chrono::steady_clock::now();
    before_ = seen_ ? std::move(now_) : *next; // at first nothing has gone on
    now_ = std::move(*next);
    seconds_ = seen_ ? std::max(std::chrono::duration<double>(now - at_).count(), 1e-3) : 1;
    at_ = now;
    seen_ = true;
    return {};
  }
  [[nodiscard]] tl::expected<std::string, complaint> frame(std::string_view order, const view& how) const {
    return top_frame(before_, now_, seconds_, order, how).map_error(complaint_of);
  }
  [[nodiscard]] tl::expected<std::string, complaint> object(std::string_view order) const {
    return top_json(before_, now_, seconds_, order).map_error(complaint_of);
  }

private:
  static complaint complaint_of(const pci::failure& why) { return {pci::failure_kind::failed, why.error, why.context}; }

  conversation& daemon_;
  const patience& how_;
  top_sample before_, now_;
  std::chrono::steady_clock::time_point at_;
  double seconds_ = 1;
  bool seen_ = false;
};

std::chrono::milliseconds pause_of(const top_words& words) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(words.delay * 1000));
}

tl::expected<int, complaint> batch(top_looks& looks, const top_words& words, bool as_json) {
  for (unsigned frame = 0; words.frames == 0 || frame < words.frames; ++frame) {
    std::this_thread::sleep_for(pause_of(words));
    if (interrupt_came != 0) {
      return static_cast<int>(exit_code::interrupted);
    }
    if (const auto looked = looks.look(); !looked) {
      return tl::unexpected(looked.error());
    }
    const auto text = as_json ? looks.object(words.order) : looks.frame(words.order, {});
    if (!text) {
      return tl::unexpected(text.error());
    }
    std::cout << (frame == 0 || as_json ? "" : "\n") << *text << std::flush;
    if (!std::cout) {
      return tl::unexpected(complaint{pci::failure_kind::failed, EIO, "standard output cannot be written to any more"});
    }
  }
  return 0;
}

/// True: it is to end.
bool obey(int key, std::string& order) {
  for (const auto each : top_orders) {
    order = each.front() == key ? std::string{each} : order;
  }
  return key == 'q' || key == 'Q';
}

tl::expected<int, complaint> on_screen(top_looks& looks, const top_words& words) {
  const full_screen screen;
  auto order = words.order;
  for (unsigned frame = 0;;) {
    const auto text = looks.frame(order, {.width = static_cast<unsigned>(std::max(COLS, 20)), .colour = false});
    if (!text) {
      return tl::unexpected(text.error());
    }
    full_screen::show(*text, order);
    const auto due = std::chrono::steady_clock::now() + pause_of(words);
    for (auto left = pause_of(words); left.count() > 0;
         left = std::chrono::duration_cast<std::chrono::milliseconds>(due - std::chrono::steady_clock::now())) {
      const auto key = full_screen::key(left);
      if (interrupt_came != 0) {
        return static_cast<int>(exit_code::interrupted);
      }
      if (key == ERR) {
        continue;
      }
      if (obey(key, order)) {
        return 0;
      }
      if (const auto again =
              looks.frame(order, {.width = static_cast<unsigned>(std::max(COLS, 20)), .colour = false})) {
        full_screen::show(*again, order);
      }
    }
    if (words.frames != 0 && ++frame >= words.frames) {
      return 0;
    }
    if (const auto looked = looks.look(); !looked) {
      return tl::unexpected(looked.error());
    }
  }
}

} // namespace

tl::expected<int, complaint> run_top(const top_words& words, const std::string& socket, bool as_json,
                                     const patience& how) {
  const bool screen = !words.batch && !as_json;
  if (screen && (::isatty(STDOUT_FILENO) == 0 || std::getenv("TERM") == nullptr)) {
    return tl::unexpected(
        complaint{pci::failure_kind::usage, 0, "top: there is no terminal to show it on; use --batch"});
  }
  auto daemon = conversation::open(socket);
  if (!daemon) {
    return tl::unexpected(unreached(daemon.error()));
  }
  const noted_interrupts noted;
  top_looks looks{*daemon, how};
  if (const auto looked = looks.look(); !looked) {
    return tl::unexpected(looked.error());
  }
  return screen ? on_screen(looks, words) : batch(looks, words, as_json);
}

} // namespace client_program
