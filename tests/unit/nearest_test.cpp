// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include "pci/nearest.hpp"

using pci::edit_distance;
using pci::nearest;

TEST_CASE("edit distance: insertions, deletions, replacements, and neighbours that changed places") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("list", "list") == 0);
  CHECK(edit_distance("", "list") == 4);
  CHECK(edit_distance("list", "") == 4);
  CHECK(edit_distance("lst", "list") == 1);
  CHECK(edit_distance("liist", "list") == 1);
  CHECK(edit_distance("lost", "list") == 1);
  CHECK(edit_distance("lsit", "list") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("ca", "abc") == 3); // the restricted distance: no letter is moved twice
}

TEST_CASE("edit distance is symmetric and never more than the longer word") {
  const std::vector<std::string> words{"", "a", "hold", "holds", "release", "detach", "attach", "explain", "exlpain"};
  for (const auto& left : words) {
    for (const auto& right : words) {
      CHECK(edit_distance(left, right) == edit_distance(right, left));
      CHECK(edit_distance(left, right) <= std::max(left.size(), right.size()));
      CHECK((edit_distance(left, right) == 0) == (left == right));
    }
  }
}

TEST_CASE("the nearest word is one that may have been meant") {
  const std::vector<std::string> words{"hold", "release", "attach", "detach", "list", "lines", "explain"};
  CHECK(nearest("lst", words) == "list");
  CHECK(nearest("explian", words) == "explain");
  CHECK(nearest("atach", words) == "attach");
  CHECK(nearest("relase", words) == "release");
  CHECK(nearest("list", words) == "list");
  CHECK_FALSE(nearest("reboot", words));
  CHECK_FALSE(nearest("", words));
  CHECK_FALSE(nearest("x", words));
  CHECK_FALSE(nearest(std::string(65, 'x'), words));
  CHECK_FALSE(nearest("lst", {}));
  CHECK(nearest("wbe", std::vector<std::string>{"db", "web"}) == "web");
  CHECK(nearest("wab", std::vector<std::string>{"web", "wub"}) == "web"); // the first of two as near
}
