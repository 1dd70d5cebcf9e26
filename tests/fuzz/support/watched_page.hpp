// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace fuzz {

/// A page that two have mapped: the guest, who may write it at any time, and the backend. While a change is set, each
/// instruction of this thread that touches the backend's mapping is preceded by a call of it, so that the page changes
/// between any two accesses, and the same input always changes it at the same places. One page a process; x86-64.
class watched_page {
public:
  static constexpr std::size_t size = 4096;
  using change = std::function<void(std::uint8_t* guest)>;

  /// Makes the page when it is first asked for. Aborts when it cannot be had.
  static watched_page& only();
  watched_page(const watched_page&) = delete;
  watched_page& operator=(const watched_page&) = delete;

  [[nodiscard]] std::uint8_t* guest() const { return guest_; }
  [[nodiscard]] void* backend() const { return backend_; }

  /// Calls `use`, the page changing meanwhile.
  void during(change what, const std::function<void()>& use);

private:
  watched_page();
  static void on_fault(void* context);
  static void on_step(void* context);
  void open(bool on) const;

  std::uint8_t* guest_ = nullptr;
  void* backend_ = nullptr;
  change change_;

  friend struct signal_entry;
};

} // namespace fuzz
