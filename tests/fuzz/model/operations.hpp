// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "fuzz/model/predicted_space.hpp"
#include "pci/protocol/shared_page.hpp"

/// What a guest asks for: mostly what makes sense, so that much of it succeeds.
namespace model {

/// Most often a register that there is.
inline std::int32_t draw_offset(fuzz::input& in, unsigned choice, const blueprint& plan) {
  if (choice < 4)
    return in.byte() & 0x3f;
  if (choice < 10 && !plan.capabilities.empty())
    return plan.capabilities.at(in.below(static_cast<unsigned>(plan.capabilities.size()))).offset +
           static_cast<std::int32_t>(in.below(12));
  if (choice < 11)
    return in.byte();
  return in.take<std::uint16_t>() % 0x1010;
}

/// All ones, what stands there, or that with one bit or all of them turned over.
inline std::uint32_t draw_value(fuzz::input& in, std::uint32_t now) {
  const auto choice = in.byte();
  if (choice < 0x20)
    return 0xffffffff;
  if (choice < 0x40)
    return in.take<std::uint32_t>();
  if (choice < 0x60)
    return now;
  return choice < 0xa0 ? now ^ in.take<std::uint16_t>() : now ^ 1U << (choice & 0x1f);
}

inline void draw_messages(fuzz::input& in, pci::wire::operation& op) {
  const auto choice = in.byte();
  constexpr std::array<std::uint32_t, 8> codes{2, 3, 4, 4, 4, 5, 2, 10};
  op.cmd = choice >= 0xf8 ? in.take<std::uint32_t>() : codes.at(choice & 7);
  if (choice >= 0xf0)
    op.devfn = in.byte();
  if (op.cmd != 4)
    return;
  op.value = (choice & 0x80) != 0 ? in.byte() : 1U + (choice >> 3 & 3);
  if (choice == 0x7c)
    op.value = in.take<std::uint32_t>();
  const auto first = in.byte();
  for (unsigned i = 0; i < std::min(op.value, pci::wire::max_vectors); ++i)
    op.msix_entries.at(i) = {
        0, static_cast<std::uint16_t>((choice & 0x40) != 0 ? in.take<std::uint16_t>() & 0x7ffU : first % 16 + i)};
}

/// `op`: what stands in the page; `choice`: the kind of operation.
inline void draw_operation(fuzz::input& in, unsigned choice, const blueprint& plan, predicted_space& seen,
                           pci::wire::operation& op) {
  op.domain = op.bus = op.devfn = 0;
  if (choice >= 0xd0) {
    draw_messages(in, op);
    return;
  }
  op.cmd = (choice & 1) != 0 ? 1 : 0;
  op.size = 1 << (choice >> 1) % 3;
  op.offset = draw_offset(in, choice >> 4, plan);
  if (choice % 16 != 15)
    op.offset = op.offset / op.size * op.size;
  if (op.cmd == 1)
    op.value = draw_value(in, seen.read(op.offset, op.size).value);
  if (choice == 0xcf) {
    op.size = in.take<std::int32_t>();
    op.offset = in.take<std::int32_t>();
  }
}

} // namespace model
