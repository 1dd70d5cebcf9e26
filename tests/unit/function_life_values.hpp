// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <vector>

#include "pci/protocol/function_life.hpp"

/// All values of the life's enumerations, for the tests that go through them.
namespace test {

template <class E>
std::vector<E> all_of(std::size_t count) {
  std::vector<E> all;
  for (std::size_t each = 0; each < count; ++each)
    all.push_back(static_cast<E>(each));
  return all;
}
inline const auto phases = all_of<pci::function_life::phase>(pci::function_life::phases);
inline const auto events = all_of<pci::function_life::event>(pci::function_life::events);

} // namespace test
