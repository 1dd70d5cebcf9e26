// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/resource_bounds.hpp"

#include <doctest/doctest.h>

using pci::resource_bounds;

TEST_CASE("resource bounds: what is let in has descriptors, and the reserve is left") {
  std::size_t before = 0;
  for (std::size_t descriptors = 0; descriptors <= 70000; ++descriptors) {
    const resource_bounds bounds(descriptors);
    CHECK(bounds.functions() >= std::max<std::size_t>(before, 1));
    before = bounds.functions();
    if (descriptors >= resource_bounds::reserve + resource_bounds::each_function) {
      const auto needed = before * resource_bounds::each_function + resource_bounds::reserve;
      CHECK(needed <= descriptors);
      CHECK(needed + resource_bounds::each_function > descriptors);
    }
  }
}

TEST_CASE("resource bounds: a shell's limit, the service's, and none") {
  CHECK(resource_bounds(1024).functions() == 224);
  CHECK(resource_bounds(65536).functions() == 16352);
  CHECK(resource_bounds(65536).descriptors() == 65536);
  CHECK(resource_bounds().functions() > 1000000);
}
