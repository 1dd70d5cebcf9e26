// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/reset.hpp"

#include <array>

#include <doctest/doctest.h>

using namespace pci;

TEST_CASE("reset methods have the kernel's names, in the kernel's order") {
  constexpr std::array words{"device_specific", "acpi", "flr", "af_flr", "pm", "bus", "cxl_bus"};
  for (std::size_t index = 0; index < words.size(); ++index) {
    const auto method = parse_reset_method(words[index]);
    REQUIRE(method);
    CHECK(static_cast<std::size_t>(*method) == index);
    CHECK(to_string(*method) == words[index]);
  }
  for (const auto* none : {"", "default", "FLR", "flr ", "slot"}) {
    CHECK_FALSE(parse_reset_method(none));
  }
}

TEST_CASE("a reset that hits others is permitted only when all of them are held and idle") {
  using enum occupancy;
  struct row {
    std::vector<occupancy> hit;
    reset_verdict verdict;
  };
  for (const auto& [hit, verdict] : std::initializer_list<row>{
           {{}, reset_verdict::permitted},
           {{idle}, reset_verdict::permitted},
           {{idle, idle, idle}, reset_verdict::permitted},
           {{quiet}, reset_verdict::permitted},
           {{idle, quiet}, reset_verdict::permitted},
           {{quiet, busy}, reset_verdict::hits_busy},
           {{quiet, foreign}, reset_verdict::hits_foreign},
           {{busy}, reset_verdict::hits_busy},
           {{idle, busy}, reset_verdict::hits_busy},
           {{busy, idle}, reset_verdict::hits_busy},
           {{foreign}, reset_verdict::hits_foreign},
           {{idle, foreign}, reset_verdict::hits_foreign},
           {{foreign, idle}, reset_verdict::hits_foreign},
           {{busy, foreign}, reset_verdict::hits_foreign},
           {{foreign, busy}, reset_verdict::hits_foreign},
           {{idle, busy, foreign}, reset_verdict::hits_foreign},
       }) {
    CHECK(judge(hit) == verdict);
  }
  CHECK(to_string(reset_verdict::permitted) == "permitted");
  CHECK(to_string(reset_verdict::hits_foreign) != to_string(reset_verdict::hits_busy));
}
