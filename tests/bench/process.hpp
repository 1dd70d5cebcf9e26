// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <set>

#include "bench/report.hpp"

namespace bench {

/// Carries out a measurement in a process of its own, so that none inherits another's threads, heap or affinity. Only
/// from a process with one thread. Throws std::runtime_error with what the measurement threw, or when it crashed.
[[nodiscard]] results in_child(const std::function<results()>& measure);

/// Keeps this thread, and the threads that it makes from now on, on one processor; false: this machine has fewer.
bool pin_to(unsigned processor);
/// How many processors this process may use.
[[nodiscard]] unsigned processors();

/// This thread runs as soon as it is woken, as a guest does on a processor of its own; false: without the privilege.
bool run_when_woken();

/// Resident memory of this process, in MiB, after the heap has given back what it can.
struct residence {
  double anonymous = 0; ///< heap and stacks
  double file = 0;      ///< the program and its libraries, as far as touched
  [[nodiscard]] double all() const { return anonymous + file; }
};
[[nodiscard]] residence resident();

/// The most that was resident, in MiB, since `peak_anew`, which begins anew and returns what is resident now.
[[nodiscard]] double peak();
[[nodiscard]] double peak_anew();

/// The thread numbers of this process.
[[nodiscard]] std::set<int> threads();
/// Context switches of these threads so far, voluntary or not.
[[nodiscard]] std::uint64_t context_switches(const std::set<int>& of);

} // namespace bench
