#include "pci/interrupts/intx_line.hpp"

#include <doctest/doctest.h>

using namespace pci;

TEST_CASE("interrupt line: the decision, every row") {
  for (const bool level : {false, true})
    for (const unsigned handlers : {0U, 1U, 7U})
      CHECK(decide({.gsi = 0, .level = level, .dom0_handlers = handlers}) == line_decision::no_line);
  for (const unsigned handlers : {0U, 1U, 7U})
    CHECK(decide({.gsi = 21, .level = false, .dom0_handlers = handlers}) == line_decision::edge);
  CHECK(decide({.gsi = 21, .level = true, .dom0_handlers = 0}) == line_decision::unshared);
  CHECK(decide({.gsi = 21, .level = true, .dom0_handlers = 1}) == line_decision::acknowledge);
  CHECK(decide({.gsi = 21, .level = true, .dom0_handlers = 2}) == line_decision::acknowledge);
}

TEST_CASE("interrupt line: the decision in words") {
  CHECK(to_string(line_decision::acknowledge) == "acknowledge");
  CHECK(to_string(line_decision::no_line) == "no line");
  CHECK(to_string(line_decision::edge) == "edge-triggered");
  CHECK(to_string(line_decision::unshared) == "not shared with dom0");
}

TEST_CASE("acknowledgement: active only where it is needed and the holder can") {
  const line_facts shared{.gsi = 21, .level = true, .dom0_handlers = 1};
  const line_facts alone{.gsi = 21, .level = true, .dom0_handlers = 0};
  intx_acknowledgement line;
  CHECK(!line.active());
  CHECK(line.decision() == line_decision::no_line);
  CHECK(!line.interrupt(false));
  CHECK(line.handled() == 0);

  line.begin(alone, true);
  CHECK(!line.active());
  CHECK(line.decision() == line_decision::unshared);
  line.begin(shared, false);
  CHECK(!line.active());
  CHECK(line.decision() == line_decision::acknowledge);
  line.begin(shared, true);
  CHECK(line.active());
  CHECK(line.interrupt(false));
  CHECK(line.handled() == 1);
}

TEST_CASE("acknowledgement: INTx is unmasked when on and no messages are; each interrupt counts") {
  for (const bool enabled : {false, true})
    for (const bool messages : {false, true}) {
      intx_acknowledgement line;
      line.begin({.gsi = 21, .level = true, .dom0_handlers = 1}, true);
      CHECK(!line.set_enabled(enabled, messages));
      CHECK(line.enabled() == enabled);
      CHECK(line.interrupt(messages) == (enabled && !messages));
      CHECK(line.handled() == 1);
    }
}

TEST_CASE("acknowledgement: switching on unmasks what was masked meanwhile") {
  intx_acknowledgement line;
  line.begin({.gsi = 21, .level = true, .dom0_handlers = 1}, true);
  CHECK(!line.set_enabled(false, false));
  CHECK(!line.interrupt(false));
  CHECK(line.set_enabled(true, false));
  CHECK(!line.set_enabled(true, false)); // it was on
  CHECK(!line.set_enabled(false, true));
  CHECK(!line.set_enabled(true, true)); // MSI is on: INTx stays masked
  line.end();
  CHECK(!line.set_enabled(false, false));
  CHECK(!line.set_enabled(true, false)); // nobody holds it
}

TEST_CASE("acknowledgement: a new guest starts with it on; an interrupt after the end is not unmasked") {
  const line_facts shared{.gsi = 21, .level = true, .dom0_handlers = 1};
  intx_acknowledgement line;
  line.begin(shared, true);
  CHECK(line.interrupt(false));
  CHECK(!line.set_enabled(false, false));
  line.end();
  CHECK(!line.active());
  CHECK(!line.interrupt(false));
  line.begin(shared, true);
  CHECK(line.enabled());
  CHECK(line.interrupt(false));
  CHECK(line.handled() == 2);
}
