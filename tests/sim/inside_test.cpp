// SPDX-License-Identifier: GPL-2.0-or-later
// What the daemon tells of a function's configuration space and of its guest's operations.
#include <nlohmann/json.hpp>

#include "actors/control/trace_json.hpp"
#include "tools/pcibackctl/config_view.hpp"
#include "tools/pcibackctl/trace_view.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct seen_inside : two_cards {
  seen_inside() { REQUIRE(hold(nic)); }

  pci::result<messages::config_account> config(const pci::sbdf& address) {
    return ask_device<messages::config_account>(address, messages::config_atom_v);
  }
  std::string config_text() {
    return client_program::configuration_of(actors::control::json_of(config(nic).value()).dump()).value();
  }
  actors::trace_batch trace(std::uint64_t number = 1, const actors::trace_filter& what = {}) {
    return all->seen->traces.take(number, what).value();
  }
};

bool has_text(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE_FIXTURE(seen_inside, "a free function is shown as the next guest would read it") {
  const auto account = config(nic).value();
  CHECK_FALSE(account.domain);
  CHECK(account.trouble.empty());
  CHECK(account.hardware.size() == 4096);
  CHECK(account.guest.size() == 4096);
  CHECK(account.function.config.size() == 4096);
  const auto text = config_text();
  CAPTURE(text);
  CHECK(has_text(text, "as the next guest would read it"));
  CHECK(has_text(text, "\nHeader\n    Identity          8086:10d3\n"));
  CHECK(has_text(text, "] MSI-X\n    Control           Enable- Count=5 Masked-\n"));
  CHECK(config(disk).error().error == ENODEV);
}

TEST_CASE_FIXTURE(seen_inside, "a guest's view stands beside the hardware, and what differs is marked") {
  const auto domain = boot("web", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(guest.write(first_slot, 4, 2, 0x0006).good());
  REQUIRE(guest.enable_msix(first_slot, {0, 1}).good());
  const auto account = config(nic).value();
  CHECK(account.domain == domain);
  const auto word = [](const std::vector<std::byte>& bytes, std::size_t at) {
    return std::to_integer<unsigned>(bytes.at(at)) | std::to_integer<unsigned>(bytes.at(at + 1)) << 8U;
  };
  CHECK(word(account.guest, 4) == guest.read(first_slot, 4, 2).value);
  CHECK(word(account.hardware, 4) == hardware(nic, 4, 2));
  CHECK(word(account.function.config, 4) != word(account.hardware, 4));
  for (const std::int32_t offset : {0x00, 0x08, 0x10, 0x14, 0x2c, 0x34, 0xa0, 0xe0}) {
    CAPTURE(offset);
    CHECK((word(account.guest, static_cast<std::size_t>(offset)) |
           word(account.guest, static_cast<std::size_t>(offset) + 2) << 16U) ==
          guest.read(first_slot, offset, 4).value);
  }
  const auto text = config_text();
  CAPTURE(text);
  CHECK(has_text(text, fmt::format("as domain {} reads it", domain)));
  CHECK(has_text(text, "!   reference         Enable- Count=5 Masked-\n"));
  const auto json =
      nlohmann::json::parse(client_program::configuration_json(actors::control::json_of(account).dump()).value());
  CHECK(json["blocks"][0]["name"] == "Header");
  CHECK(json["blocks"][0]["registers"][1]["name"] == "Control");
  CHECK(json["blocks"][0]["registers"][1]["same"] == false);
  CHECK(json["guest"].get<std::string>().size() == 8192);
}

TEST_CASE_FIXTURE(seen_inside, "a function that does not answer is shown as it was") {
  REQUIRE(host.remove_function(nic));
  const auto account = config(nic); // at once: root has not heard of the removal
  if (account) {
    CHECK(account->hardware.empty());
    CHECK_FALSE(account->trouble.empty());
    CHECK(has_text(client_program::configuration_of(actors::control::json_of(*account).dump()).value(),
                   "the hardware cannot be read: "));
  } else {
    CHECK((account.error().error == EBUSY || account.error().error == ENODEV));
  }
}

TEST_CASE("an account of another form is refused") {
  for (const auto* odd : {"", "[]", "{}", R"({"reference":"00"})", R"({"reference":3})", R"({"reference":"xx"})"}) {
    CAPTURE(odd);
    CHECK(client_program::configuration_of(odd).error().error == EPROTO);
    CHECK(client_program::configuration_json(odd).error().error == EPROTO);
  }
}

TEST_CASE_FIXTURE(seen_inside, "a trace has each operation with its register, its value and how it went") {
  const auto domain = boot("web", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  static_cast<void>(guest.read(first_slot, 0, 4));
  CHECK(trace().operations.empty()); // nobody looked
  CHECK(trace().guests == 1);
  CHECK(guest.read(first_slot, 4, 2).good());
  CHECK(guest.write(first_slot, 4, 2, 0x0106).good());
  CHECK_FALSE(guest.read(second_slot, 0, 4).good());
  CHECK(guest.enable_msix(first_slot, {0, 1, 2}).good());
  const auto batch = trace();
  CHECK(batch.lost == 0);
  CHECK_FALSE(batch.more);
  REQUIRE(batch.operations.size() >= 4); // a driver looks at the capability as well
  const auto switched =
      std::ranges::find(batch.operations, 4U, [](const actors::traced& each) { return each.what.code; });
  REQUIRE(switched != batch.operations.end());
  const auto& msix = *switched;
  const auto& [read, write, absent] = std::tie(batch.operations[0], batch.operations[1], batch.operations[2]);
  CHECK(read.register_name == "COMMAND");
  CHECK(read.guest == fmt::format("web ({})", domain));
  CHECK(read.what.function == nic);
  CHECK(read.what.domain == domain);
  CHECK(read.what.size == 2);
  CHECK(write.what.asked == 0x0106);
  CHECK(write.what.error == pci::op_error::success);
  CHECK_FALSE(absent.what.found);
  CHECK(absent.what.error == pci::op_error::dev_not_found);
  CHECK(msix.what.vectors == 3);
  CHECK(read.what.begun <= write.what.begun);
  const auto json = actors::control::json_of(batch);
  CHECK(json["operations"][0]["operation"] == "conf_read");
  CHECK(json["operations"][0]["register"] == "COMMAND");
  CHECK(json["operations"][0]["function"] == "0000:00:03.0");
  CHECK(json["operations"][1]["value"] == "0106");
  CHECK(json["operations"][2]["function"].is_null());
  CHECK(json["operations"][2]["virtual_address"] == "0000:00:01.0");
  CHECK(json["operations"][2]["error"] == "dev_not_found");
  CHECK(json["operations"][static_cast<std::size_t>(switched - batch.operations.begin())]["operation"] ==
        "enable_msix");
  all->seen->traces.end(1);
  CHECK(guest.read(first_slot, 4, 2).good());
  CHECK(trace().operations.empty());
}

TEST_CASE_FIXTURE(seen_inside, "a trace has what its filter lets through") {
  REQUIRE(hold(disk));
  const auto web = boot("web", {nic});
  const auto mail = boot("mail", {disk});
  frontend one(host, web, *this), other(host, mail, *this);
  REQUIRE(one.connect());
  REQUIRE(other.connect());
  const std::vector<actors::trace_filter> filters{
      {}, {nic, ""}, {std::nullopt, "mail"}, {std::nullopt, fmt::format("{}", web)}, {std::nullopt, "we"}};
  CHECK(trace(1, filters[0]).guests == 2);
  CHECK(trace(2, filters[1]).guests == 2);
  CHECK(trace(3, filters[2]).guests == 1);
  CHECK(trace(4, filters[3]).guests == 1);
  CHECK(all->seen->traces.take(5, {}).error().error == EBUSY);
  CHECK(one.read(first_slot, 4, 2).good());
  CHECK(other.read(first_slot, 6, 2).good());
  CHECK(trace(1, filters[0]).operations.size() == 2);
  CHECK(trace(2, filters[1]).operations.size() == 1);
  const auto third = trace(3, filters[2]).operations;
  REQUIRE(third.size() == 1);
  CHECK(third.front().register_name == "STATUS");
  CHECK(trace(4, filters[3]).operations.size() == 1);
  CHECK(trace(4, filters[4]).guests == 0);
}

TEST_SUITE_END();

TEST_CASE("what a trace does not take is lost and counted, and the guest's thread does not wait") {
  actors::trace_hub hub;
  const auto tap = hub.open(3, "web (3)");
  CHECK_FALSE(tap->wanted());
  REQUIRE(hub.take(1, {}).has_value());
  CHECK(tap->wanted());
  const auto tell = [&](std::uint32_t value) {
    actors::trace_record record;
    record.value = value;
    tap->answered(record);
    tap->took(std::chrono::nanoseconds(value), 5us);
  };
  constexpr std::uint32_t many = actors::trace_ring::room + 100;
  for (std::uint32_t value = 0; value < many; ++value) {
    tell(value);
  }
  std::uint32_t expected = 0;
  for (bool more = true; more;) {
    const auto batch = hub.take(1, {}).value();
    CHECK(batch.lost == (batch.more ? 0 : 100)); // after those that found room
    CHECK(batch.operations.size() <= actors::trace_hub::at_once);
    for (const auto& each : batch.operations) {
      REQUIRE(each.what.value == expected++);
      CHECK(each.what.took == 5us);
    }
    more = batch.more;
  }
  CHECK(expected == actors::trace_ring::room);
  hub.end(1);
  CHECK_FALSE(tap->wanted());
  tell(7);
  REQUIRE(hub.take(2, {}).has_value());
  CHECK(hub.take(2, {})->operations.empty()); // what was there before it began is none of its business
}

TEST_CASE("a trace that is slow keeps only so much") {
  actors::trace_hub hub;
  const auto tap = hub.open(3, "web (3)");
  REQUIRE(hub.take(1, {}).has_value());
  REQUIRE(hub.take(2, {}).has_value());
  std::size_t told = 0;
  for (int round = 0; round < 10; ++round) {
    for (std::size_t each = 0; each < actors::trace_ring::room; ++each, ++told) {
      tap->answered({});
      tap->took(0ns, 1us);
    }
    REQUIRE(hub.take(1, {}).has_value());
  }
  auto late = hub.take(2, {}).value();
  auto seen = late.operations.size();
  for (; late.more; seen += late.operations.size()) {
    CHECK(late.lost == 0);
    late = hub.take(2, {}).value();
  }
  CHECK(seen == actors::trace_hub::most_waiting);
  CHECK(late.lost == told - actors::trace_hub::most_waiting);
}

TEST_CASE("too many guests are not traced, and that is told") {
  actors::trace_hub hub;
  std::vector<std::shared_ptr<actors::trace_tap>> taps;
  for (messages::domain_id domain = 1; domain <= actors::trace_hub::most_guests + 5; ++domain) {
    taps.push_back(hub.open(domain, fmt::format("g ({})", domain)));
  }
  const auto batch = hub.take(1, {}).value();
  CHECK(batch.guests == actors::trace_hub::most_guests);
  CHECK(batch.untraced == 5);
  taps.erase(taps.begin(), taps.begin() + 10);
  CHECK(hub.take(1, {})->untraced == 0); // others have their places
}

TEST_CASE("one thread tells while another listens, and nothing is torn") {
  auto ring = std::make_unique<actors::trace_ring>();
  constexpr std::uint32_t count = 200000;
  std::thread writer{[&ring] {
    for (std::uint32_t value = 1; value <= count; ++value) {
      actors::trace_record record;
      record.asked = record.value = value;
      record.offset = static_cast<std::int32_t>(value);
      ring->push(record);
    }
  }};
  std::vector<actors::trace_record> seen;
  std::uint64_t lost = 0, total = 0;
  std::uint32_t last = 0;
  while (total + lost < count) {
    seen.clear();
    lost += ring->take(seen);
    total += seen.size();
    for (const auto& each : seen) {
      REQUIRE(each.value > last);
      REQUIRE(each.asked == each.value);
      REQUIRE(each.offset == static_cast<std::int32_t>(each.value));
      last = each.value;
    }
  }
  writer.join();
  CHECK(total + lost == count);
}

// -- for people, and for Wireshark

namespace {

client_program::json one_operation() {
  return client_program::json::parse(
      R"j({"time":"2023-11-14T22:13:20.123456789Z","domain":3,"guest":"web (3)","function":"0000:03:00.0",)j"
      R"j("virtual_address":"0000:00:01.0","operation":"conf_write","code":1,"offset":4,"size":2,"register":"COMMAND",)j"
      R"j("value":"0107","vectors":0,"error":"access_denied","took_ns":12345})j");
}

} // namespace

TEST_CASE("an operation is a line") {
  auto operation = one_operation();
  CHECK(client_program::operation_line(operation) == "2023-11-14T22:13:20.123456Z  web (3)           0000:03:00.0    "
                                                     "conf_write    004/2     COMMAND                     "
                                                     "            0107  access_denied    12.3 us\n");
  operation["function"] = nullptr;
  operation["guest"] = "";
  operation["operation"] = "other";
  operation["code"] = 10;
  const auto line = client_program::operation_line(operation);
  CHECK(has_text(line, "domain 3  "));
  CHECK(has_text(line, "(0000:00:01.0)  code 10 "));
  operation["guest"] = "a\x1b[31m\n";
  CHECK(has_text(client_program::operation_line(operation), "a?[31m?"));
  CHECK(client_program::loss_json(3) == "{\"lost\":3}\n");
}

TEST_CASE("kinds narrow a trace down") {
  const auto operation = one_operation();
  CHECK(client_program::is_of_kind(operation, {}));
  CHECK(client_program::is_of_kind(operation, {"writes"}));
  CHECK(client_program::is_of_kind(operation, {"reads", "errors"}));
  CHECK_FALSE(client_program::is_of_kind(operation, {"reads", "interrupts"}));
}

TEST_CASE("a file for Wireshark has whole blocks, and the record as it is documented") {
  const auto header = client_program::capture_header("pcibackctl");
  const auto packet = client_program::capture_packet(one_operation()).value();
  const auto number = [](const std::string& from, std::size_t at, unsigned size) {
    std::uint64_t value = 0;
    for (unsigned byte = 0; byte < size; ++byte) {
      value |= std::uint64_t{static_cast<unsigned char>(from.at(at + byte))} << (8 * byte);
    }
    return value;
  };
  const auto all = header + packet + client_program::capture_loss(7);
  std::vector<std::uint64_t> types;
  for (std::size_t at = 0; at < all.size();) {
    const auto length = number(all, at + 4, 4);
    REQUIRE(length % 4 == 0);
    REQUIRE(at + length <= all.size());
    CHECK(number(all, at + length - 4, 4) == length);
    types.push_back(number(all, at, 4));
    at += length;
  }
  CHECK(types == std::vector<std::uint64_t>{0x0a0d0d0a, 1, 6, 5});
  CHECK((number(packet, 12, 4) << 32U | number(packet, 16, 4)) == 1'700'000'000'123'456'789U);
  const auto record = packet.substr(28, number(packet, 20, 4));
  CHECK(number(record, 0, 2) == 0x0101); // version 1, found
  CHECK(number(record, 2, 2) == 3);
  CHECK(number(record, 4, 4) == 1);
  CHECK(static_cast<std::int32_t>(number(record, 8, 4)) == -3);
  CHECK(number(record, 12, 4) == 4);
  CHECK(number(record, 16, 4) == 2);
  CHECK(number(record, 20, 4) == 0x107);
  CHECK(number(record, 26, 4) == 0x00030000);
  CHECK(number(record, 32, 8) == 12345);
  CHECK(record.substr(40) == "\x0c"
                             "0000:00:01.0\x07web (3)\x07"
                             "COMMAND");
  CHECK(client_program::capture_packet(client_program::json::array()).error().error == EPROTO);
  CHECK(client_program::capture_packet({{"time", "now"}}).error().error == EPROTO);
}
