// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/multifunction.hpp"

#include <doctest/doctest.h>

using pci::with_multifunction;

TEST_CASE("header: the multi-function bit is the virtual topology's, in every access that covers it") {
  CHECK(with_multifunction(0x80, 0x0e, 1, false) == 0x00);
  CHECK(with_multifunction(0x01, 0x0e, 1, true) == 0x81);
  CHECK(with_multifunction(0x1280, 0x0e, 2, false) == 0x1200);
  CHECK(with_multifunction(0x40800010, 0x0c, 4, false) == 0x40000010);
  CHECK(with_multifunction(0x40010010, 0x0c, 4, true) == 0x40810010);
  CHECK(with_multifunction(0x40810010, 0x0c, 4, true) == 0x40810010);
}

TEST_CASE("header: other registers, and one that is not there, are left alone") {
  for (const bool many : {false, true}) {
    CHECK(with_multifunction(0xaa, 0x0d, 1, many) == 0xaa);
    CHECK(with_multifunction(0x80, 0x0f, 1, many) == 0x80);
    CHECK(with_multifunction(0x8080, 0x0c, 2, many) == 0x8080);
    CHECK(with_multifunction(0x80808080, 0x08, 4, many) == 0x80808080);
    CHECK(with_multifunction(0x80808080, 0x10, 4, many) == 0x80808080);
    CHECK(with_multifunction(0xffffffff, 0x0c, 4, many) == 0xffffffff);
    CHECK(with_multifunction(0xff, 0x0e, 1, many) == 0xff);
  }
}
