// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/interrupts/spurious_watch.hpp"

#include <doctest/doctest.h>

using pci::line_danger;
using pci::spurious_watch;

TEST_CASE("spurious interrupts: unclaimed ones are added up over the kernel's restarts") {
  spurious_watch watch;
  CHECK_FALSE(watch.sample({500, 70})); // from before
  CHECK(watch.spurious() == 0);
  CHECK_FALSE(watch.sample({900, 90}));
  CHECK(watch.spurious() == 20);
  CHECK_FALSE(watch.sample({950, 3})); // 100 ms without one
  CHECK(watch.spurious() == 23);
  CHECK_FALSE(watch.sample({10, 5})); // a new hundred thousand
  CHECK(watch.spurious() == 25);
}

TEST_CASE("spurious interrupts: the alarm comes long before the kernel gives up, once a step") {
  spurious_watch watch;
  CHECK_FALSE(watch.sample({1, 1}));
  CHECK_FALSE(watch.sample({9999, 9999}));
  CHECK(watch.danger() == line_danger::none);
  CHECK(watch.sample({10050, 10000}));
  CHECK(watch.danger() == line_danger::near);
  CHECK_FALSE(watch.sample({20000, 19980}));
  CHECK(watch.sample({60000, 59980}));
  CHECK(watch.danger() == line_danger::very_near);
  CHECK_FALSE(watch.sample({99999, 99979}));
  CHECK(watch.sample({0, 0}));
  CHECK(watch.danger() == line_danger::given_up);
  CHECK_FALSE(watch.sample({0, 0}));
}

TEST_CASE("spurious interrupts: a line on which enough are claimed is in no danger") {
  spurious_watch watch;
  CHECK_FALSE(watch.sample({0, 0}));
  CHECK_FALSE(watch.sample({50000, 49900}));
  CHECK(watch.danger() == line_danger::none);
  CHECK(watch.sample({50000, 49901}));
  CHECK_FALSE(watch.sample({60000, 50000}));
  CHECK(watch.danger() == line_danger::none);
}

TEST_CASE("spurious interrupts: a line that comes to life again is in no danger any more") {
  spurious_watch watch;
  CHECK_FALSE(watch.sample({100, 100}));
  CHECK(watch.sample({30000, 30000}));
  CHECK(watch.sample({0, 0}));
  CHECK_FALSE(watch.sample({5, 0}));
  CHECK(watch.danger() == line_danger::none);
}

TEST_CASE("spurious interrupts: a thousand with hardly any claimed ask for a closer look") {
  spurious_watch watch;
  CHECK_FALSE(watch.sample({999, 999}));
  CHECK_FALSE(watch.pressing());
  CHECK_FALSE(watch.sample({1099, 1000}));
  CHECK(watch.pressing());
  CHECK_FALSE(watch.sample({1100, 1000}));
  CHECK_FALSE(watch.pressing());
}

TEST_CASE("spurious interrupts: whether the kernel counts at all") {
  spurious_watch watch;
  CHECK_FALSE(watch.sample({7, 0}));
  CHECK_FALSE(watch.counting());
  CHECK_FALSE(watch.sample({8, 0}));
  CHECK(watch.counting());
  CHECK_FALSE(watch.sample({8, 0}));
  CHECK_FALSE(watch.counting());
}

TEST_CASE("spurious interrupts: the danger in words") {
  CHECK(to_string(line_danger::none) == "none");
  CHECK(to_string(line_danger::near) == "near");
  CHECK(to_string(line_danger::very_near) == "very near");
  CHECK(to_string(line_danger::given_up) == "given up");
}
