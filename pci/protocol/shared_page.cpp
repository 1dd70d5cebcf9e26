// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/shared_page.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>

namespace pci {
namespace {

std::size_t entries_asked(const wire::operation& op) {
  const bool has_entries = op.cmd == static_cast<std::uint32_t>(op_code::enable_msix);
  return has_entries ? std::min(op.value, wire::max_vectors) : 0;
}

/// The guest may write the page at any time: each byte is read once, and of the entries those that the copied head asks
/// for. Behind the fences the compiler may not read the page a second time for what it has copied (XSA-155).
void copy_once(wire::operation& to, const wire::operation& page) {
  std::memcpy(&to, &page, offsetof(wire::operation, msix_entries));
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (const auto count = entries_asked(to); count > 0)
    std::memcpy(to.msix_entries.data(), page.msix_entries.data(), count * sizeof(wire::msix_entry));
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// FNV-1a of the entry numbers: a guest that asks again for as many but other entries is another operation.
std::uint32_t digest(std::span<const wire::msix_entry> entries) {
  std::uint32_t sum = 0x811c9dc5;
  for (const auto& one : entries)
    sum = (sum ^ one.entry) * 0x01000193;
  return sum;
}

std::span<const wire::msix_entry> entries_of(const wire::operation& op) {
  return std::span{op.msix_entries}.first(entries_asked(op));
}

shared_page::ticket key_of(const wire::operation& op) {
  return {.cmd = op.cmd,
          .domain = op.domain,
          .bus = op.bus,
          .devfn = op.devfn,
          .offset = op.offset,
          .size = op.size,
          .value = op.value,
          .entries = digest(entries_of(op))};
}

} // namespace

shared_page::shared_page(void* page) : info_(static_cast<wire::shared_info*>(page)) {}

bool shared_page::active() const {
  const std::atomic_ref flags{info_->flags};
  return (flags.load(std::memory_order_acquire) & wire::frontend_active) != 0;
}

bool shared_page::has_aer_handler() const {
  const std::atomic_ref flags{info_->flags};
  return (flags.load(std::memory_order_acquire) & wire::frontend_aer) != 0;
}

shared_page::taken shared_page::take() const {
  wire::operation op;
  copy_once(op, info_->op);
  taken out;
  out.key = key_of(op);
  out.what = {.code = op.cmd, .offset = op.offset, .size = op.size, .value = op.value, .entries = {}};
  for (const auto& one : entries_of(op))
    out.what.entries.push_back(one.entry);
  return out;
}

bool shared_page::publish(const ticket& key, const answer& answer) {
  wire::operation now;
  copy_once(now, info_->op);
  // The protocol has no sequence number; this is what can be known of a frontend that has given up. One that gives up
  // between here and the last line has only itself to blame: it waits 2 s first.
  if (!active() || key_of(now) != key)
    return false;
  auto& op = info_->op;
  op.err = static_cast<std::int32_t>(answer.error);
  op.value = answer.value;
  if (answer.error == op_error::success) {
    const std::size_t granted = std::min(entries_asked(now), answer.vectors.size());
    for (std::size_t i = 0; i < granted; ++i)
      op.msix_entries[i].vector = answer.vectors[i]; // `entry` stays: mini-os copies the pair back as it is
  }
  // Whoever sees the flag clear may read the answer.
  std::atomic_thread_fence(std::memory_order_release);
  std::atomic_ref{info_->flags}.fetch_and(~wire::frontend_active, std::memory_order_release);
  return true;
}

} // namespace pci
