// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "bench/report.hpp"

/// Each measurement runs in a process of its own (process.hpp) and says what it found.
namespace bench {

/// One configuration read, of a function that is there and of one that is not, beside a raw hand-off between two
/// threads; everything on one processor.
[[nodiscard]] results operation_latency();
/// Likewise on all processors, where the daemon looks for the next operation by itself.
[[nodiscard]] results operation_latency_polled();
/// 256 reads, one for each function of a bus, on one processor, and on all.
[[nodiscard]] results bus_scan();
[[nodiscard]] results bus_scan_polled();
/// Reads a second of `guests` guests, each with one function and one operation at a time, on all processors.
[[nodiscard]] results throughput(unsigned guests);
/// 32 guests that connect and look for their functions at the same time.
[[nodiscard]] results boot_storm();
/// 31 guests' reads beside one whose function takes 2.5 s for each access, and the answer to `list` meanwhile.
[[nodiscard]] results isolation();
/// From the start of a daemon's successor, the end of the daemon included, until it serves all guests.
[[nodiscard]] results adoption(unsigned guests, unsigned devices);
/// What the daemon costs while nothing happens, with 16 functions in 16 guests.
[[nodiscard]] results idle();
/// What the daemon takes of memory for so many guests and functions, without the simulation's share: the difference
/// between the same world with and without it. Makes processes of its own.
[[nodiscard]] results memory(unsigned guests, unsigned devices, double limit_mib);
/// A guest's operations beside a neighbour that keeps still, and beside one that does its worst.
[[nodiscard]] results flood();
/// Likewise beside one that switches MSI-X on and off as fast as it is let.
[[nodiscard]] results switching();
/// Memory and log lines after a million events of a guest, and as many writes to its nodes.
[[nodiscard]] results flood_residue();

} // namespace bench
