// SPDX-License-Identifier: GPL-2.0-or-later
#include <string>

#include <doctest/doctest.h>

#include "actors/control/answer.hpp"
#include "actors/control/request.hpp"

using namespace actors::control;

namespace {

template <class Command>
Command read(const std::string& params, const char* method) {
  const auto got =
      parse_request(R"({"jsonrpc":"2.0","id":1,"method":")" + std::string{method} + R"(","params":)" + params + "}");
  REQUIRE(got.has_value());
  CHECK(got->id == "1");
  REQUIRE(std::holds_alternative<Command>(got->what));
  return std::get<Command>(got->what);
}

const auto function = pci::make_sbdf(0, 0, 4, 0);

} // namespace

TEST_CASE("every method of the control protocol is read") {
  CHECK(read<hold>(R"({"address":"0000:00:04.0","seize":true})", "hold").seize);
  CHECK_FALSE(read<hold>(R"({"address":"00:04.0"})", "hold").seize);
  CHECK(read<hold>(R"({"address":"00:04.0"})", "hold").address == function);
  CHECK(read<release>(R"({"address":"00:04.0"})", "release").address == function);
  CHECK(read<attach>(R"({"address":"00:04.0","domain":"web"})", "attach").domain.text == "web");
  CHECK(read<attach>(R"({"address":"00:04.0","domain":7})", "attach").domain.text == "7");
  CHECK(read<attach>(R"({"address":"00:04.0","domain":"7"})", "attach").address == function);
  CHECK_FALSE(read<attach>(R"({"address":"00:04.0","domain":7})", "attach").how.rdm);
  CHECK(read<attach>(R"({"address":"00:04.0","domain":7,"rdm":"relaxed"})", "attach").how.rdm ==
        pci::rdm_policy::relaxed);
  CHECK(read<detach>(R"({"domain":32751,"address":"00:04.0"})", "detach").domain.text == "32751");
  CHECK(read<detach>(R"({"domain":1,"address":"00:04.0"})", "detach").address == function);
  CHECK(read<retry>(R"({"address":"00:04.0"})", "retry").address == function);
  CHECK(std::get<pci::sbdf>(read<drain>(R"({"address":"00:04.0"})", "drain").what) == function);
  CHECK(std::get<messages::domain_name>(read<drain>(R"({"domain":"web"})", "drain").what).text == "web");
  CHECK(read<acknowledge>(R"({"address":"00:04.0","on":true})", "acknowledge").on);
  CHECK_FALSE(read<acknowledge>(R"({"address":"00:04.0","on":false})", "acknowledge").on);
  CHECK(read<release>(R"({"address":"00:04.0"})", "release").probe);
  CHECK_FALSE(read<release>(R"({"address":"00:04.0","probe":false})", "release").probe);
  CHECK(read<change>(R"({"address":"00:04.0","on":true})", "permissive").what.permissive == true);
  CHECK(read<change>(R"({"address":"00:04.0","on":false})", "permissive").what.permissive == false);
  const auto control = read<change>(R"({"address":"00:04.0","on":true})", "interrupt_control");
  CHECK(control.what.interrupt_control == true);
  CHECK_FALSE(control.what.permissive);
  CHECK(control.address == function);
  CHECK(read<change>(R"({"address":"00:04.0","quirk":"e8:2:f0"})", "quirk").what.open == pci::quirk{0xe8, 2, 0xf0});
  const auto closed = read<change>(R"({"address":"00:04.0","quirk":"e8:2:f0","on":false})", "quirk").what;
  CHECK(closed.close == 0xe8);
  CHECK_FALSE(closed.open);
  CHECK(read<registers>(R"({"address":"00:04.0"})", "registers").address == function);
  CHECK(std::get<pci::sbdf>(read<explain>(R"({"address":"00:04.0"})", "explain").what) == function);
  CHECK(std::get<messages::domain_name>(read<explain>(R"({"domain":"web"})", "explain").what).text == "web");
  read<list>("{}", "list");
  read<version>("{}", "version");
  CHECK(parse_request(R"({"jsonrpc":"2.0","id":1,"method":"list"})").has_value());
}

TEST_CASE("an id comes back as it was sent, and a request without one is a notification") {
  const auto id_of = [](const std::string& id) {
    const auto got = parse_request(R"({"jsonrpc":"2.0",)" + id + R"("method":"list"})");
    REQUIRE(got.has_value());
    return got->id;
  };
  CHECK(id_of(R"("id":"a\"b",)") == R"("a\"b")");
  CHECK(id_of(R"("id":-9223372036854775808,)") == "-9223372036854775808");
  CHECK(id_of(R"("id":18446744073709551615,)") == "18446744073709551615");
  CHECK(id_of(R"("id":null,)") == "null");
  CHECK_FALSE(id_of("").has_value());
}

TEST_CASE("what is wrong with a request is refused with its code and one line") {
  struct row {
    const char* line;
    error_code code;
    const char* id; ///< empty: none, the refusal goes nowhere
    const char* says;
  };
#define CALL(method, params) R"({"jsonrpc":"2.0","id":5,"method":")" method R"(","params":)" params "}"
  static constexpr row rows[] = {
      {"", error_code::parse_error, "null", "not JSON"},
      {"{", error_code::parse_error, "null", "not JSON"},
      {"\xff", error_code::parse_error, "null", "not JSON"},
      {"{} {}", error_code::parse_error, "null", "not JSON"},
      {"{\"a\":\"\xc3\x28\"}", error_code::parse_error, "null", "not JSON"},
      {"1", error_code::invalid_request, "null", "one object per line"},
      {"[]", error_code::invalid_request, "null", "one object per line"},
      {R"([{"jsonrpc":"2.0","id":5,"method":"list"}])", error_code::invalid_request, "null", "one object per line"},
      {"{}", error_code::invalid_request, "null", "2.0"},
      {R"({"id":5,"method":"list"})", error_code::invalid_request, "5", "not JSON-RPC 2.0"},
      {R"({"jsonrpc":"1.0","id":5,"method":"list"})", error_code::invalid_request, "5", "not JSON-RPC 2.0"},
      {R"({"jsonrpc":2.0,"id":5,"method":"list"})", error_code::invalid_request, "5", "not JSON-RPC 2.0"},
      {R"({"jsonrpc":"2.0","id":1.5,"method":"list"})", error_code::invalid_request, "null", "\"id\" is neither"},
      {R"({"jsonrpc":"2.0","id":{},"method":"list"})", error_code::invalid_request, "null", "\"id\" is neither"},
      {R"({"jsonrpc":"2.0","id":5})", error_code::invalid_request, "5", "\"method\" is not a string"},
      {R"({"jsonrpc":"2.0","id":5,"method":1})", error_code::invalid_request, "5", "\"method\" is not a string"},
      {R"({"jsonrpc":"2.0","id":5,"method":"reboot"})", error_code::method_not_found, "5", "use hold, release, attach"},
      {R"({"jsonrpc":"2.0","method":"reboot"})", error_code::method_not_found, "", "no such method"},
      {CALL("list", "[]"), error_code::invalid_params, "5", "by name"},
      {CALL("list", "null"), error_code::invalid_params, "5", "by name"},
      {CALL("list", R"({"x":1})"), error_code::invalid_params, "5", "it takes none"},
      {CALL("hold", "{}"), error_code::invalid_params, "5", "\"address\" is missing"},
      {CALL("hold", R"({"address":4})"), error_code::invalid_params, "5", "\"address\" is not a string"},
      {CALL("hold", R"({"address":"04"})"), error_code::invalid_params, "5", "give an address"},
      {CALL("hold", R"({"address":"00:04.0","seize":1})"), error_code::invalid_params, "5", "\"seize\" is neither"},
      {CALL("hold", R"({"address":"00:04.0","force":true})"), error_code::invalid_params, "5",
       "it takes address, seize"},
      {CALL("acknowledge", R"({"address":"00:04.0"})"), error_code::invalid_params, "5", "\"on\" is missing"},
      {CALL("acknowledge", R"({"address":"00:04.0","on":"on"})"), error_code::invalid_params, "5", "\"on\" is neither"},
      {CALL("attach", R"({"address":"00:04.0"})"), error_code::invalid_params, "5", "\"domain\" is missing"},
      {CALL("attach", R"({"domain":"","address":"00:04.0"})"), error_code::invalid_params, "5",
       "\"domain\" is neither"},
      {CALL("attach", R"({"domain":"a b","address":"00:04.0"})"), error_code::invalid_params, "5",
       "\"domain\" is neither"},
      {CALL("attach", R"({"domain":"a\nb","address":"00:04.0"})"), error_code::invalid_params, "5",
       "\"domain\" is neither"},
      {CALL("attach", R"({"domain":-1,"address":"00:04.0"})"), error_code::invalid_params, "5",
       "\"domain\" is neither"},
      {CALL("attach", R"({"domain":1.0,"address":"00:04.0"})"), error_code::invalid_params, "5",
       "\"domain\" is neither"},
      {CALL("drain", R"({})"), error_code::invalid_params, "5", "\"address\" is missing"},
      {CALL("drain", R"({"domain":"web","address":"00:04.0"})"), error_code::invalid_params, "5", "it takes domain"},
      {CALL("retry", R"({"address":7})"), error_code::invalid_params, "5", "\"address\" is not a string"},
      {CALL("attach", R"({"domain":32752,"address":"00:04.0"})"), error_code::invalid_params, "5",
       "\"domain\" is neither"},
      {CALL("attach", R"({"domain":true,"address":"00:04.0"})"), error_code::invalid_params, "5",
       "\"domain\" is neither"},
  };
#undef CALL
  for (const auto& row : rows) {
    CAPTURE(row.line);
    const auto got = parse_request(row.line);
    REQUIRE_FALSE(got.has_value());
    const auto& why = got.error();
    CAPTURE(why.message);
    CHECK(static_cast<int>(why.code) == static_cast<int>(row.code));
    CHECK(why.id.value_or("") == row.id);
    CHECK(why.message.find(row.says) != std::string::npos);
    CHECK(why.message.find('\n') == std::string::npos);
    CHECK(why.message.find("; ") != std::string::npos);
  }
}

TEST_CASE("a request may have 64 KiB and no more, and as deep a nest as fits is only refused") {
  const auto padded = [](std::size_t size) {
    const std::string text = R"({"jsonrpc":"2.0","id":1,"method":"list"})";
    return text + std::string(size - text.size(), ' ');
  };
  CHECK(parse_request(padded(longest_request)).has_value());
  const auto longer = parse_request(padded(longest_request + 1));
  REQUIRE_FALSE(longer.has_value());
  CHECK(longer.error().code == error_code::invalid_request);
  CHECK_FALSE(parse_request(std::string(longest_request, '[')).has_value());
  const auto nest = longest_request / 2;
  CHECK_FALSE(parse_request(std::string(nest, '[') + std::string(nest, ']')).has_value());
}

TEST_CASE("answers are single lines with their fields in a fixed order") {
  CHECK(done("7") == R"({"jsonrpc":"2.0","id":7,"result":{}})");
  CHECK(attached("\"a\"", function) == R"({"jsonrpc":"2.0","id":"a","result":{"virtual_address":"0000:00:04.0"}})");
  CHECK(
      failed("7", {16, "0000:00:04.0 belongs to \"nvme\""}) ==
      R"j({"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"0000:00:04.0 belongs to \"nvme\": Device or resource busy (16)",)j"
      R"("data":{"errno":16,"what":"0000:00:04.0 belongs to \"nvme\"","name":"EBUSY","kind":"busy"}}})");
  CHECK(refused({"null", error_code::parse_error, "x; y"}) ==
        R"({"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x; y","data":{"kind":"usage"}}})");
  CHECK(version_of("1").find(R"({"jsonrpc":"2.0","id":1,"result":{"version":")") == 0);
  CHECK(failed("7", {5, "a\nb\xff"}).find('\n') == std::string::npos);
}

TEST_CASE("a notification has no answer, whatever comes of it") {
  CHECK(done({}).empty());
  CHECK(attached({}, function).empty());
  CHECK(listed({}, {}).empty());
  CHECK(version_of({}).empty());
  CHECK(failed({}, {5, "x"}).empty());
  CHECK(refused({{}, error_code::method_not_found, "x"}).empty());
}

TEST_CASE("the list of functions and domains has the form that scripts rely on") {
  messages::function_status leased;
  leased.address = function;
  leased.vendor = 0x1b36;
  leased.device = 0x10;
  leased.class_code = 0x010802;
  leased.state = messages::function_state::leased;
  leased.domain = messages::domain_id{3};
  leased.target = messages::domain_id{2};
  leased.guest = "web (2), by its stub domain 3";
  leased.virtual_address = pci::make_sbdf(0, 0, 0, 0);
  leased.mode = pci::interrupt_mode::msix;
  leased.vectors = {{0, 55}, {1, 54}};
  leased.gsi = 20;
  leased.line = pci::line_decision::acknowledge;
  leased.acknowledging = true;
  leased.acknowledged = 9;
  leased.handler = true;
  leased.spurious = 7;
  leased.storm = true;
  leased.storms = 2;
  leased.danger = pci::line_danger::near;
  leased.operations = 1234;
  leased.refused = 2;
  leased.writes = pci::write_mode::listed;
  leased.quirks = {{0x4c, 4, 0xff}, {0xe8, 2, 0x1}};
  leased.interrupt_control = true;
  leased.refused_writes = 17;
  leased.errors = {7, 1, 0, 1, 0, "non-fatal: Poisoned TLP"};
  leased.line_guests = {5};
  messages::function_status failed_scrub;
  failed_scrub.address = pci::make_sbdf(0, 0, 5, 0);
  failed_scrub.state = messages::function_state::failed;
  failed_scrub.detail = "the reset failed";
  failed_scrub.last_guests = {3};
  failed_scrub.reserved = true;
  messages::domain_status domain;
  domain.domain = 3;
  domain.backend = pci::xenbus_state::connected;
  domain.frontend = pci::xenbus_state::connected;
  domain.connected = true;
  domain.functions = {function};
  domain.operations = 1500;
  domain.absent = 255;
  domain.late = 1;
  domain.spurious = 4;
  domain.interrupt_operations = 12;
  domain.delayed = 2;
  domain.delayed_accesses = 8;
  domain.interrupt_rate = 25;
  domain.access_rate = 20000;
  domain.polled = 3;
  domain.events_late = 6;
  domain.frontend_error = "22 no";
  leased.notes = {"odd"};
  CHECK(
      to_json({{leased, failed_scrub}, {domain}, {"10000:e1:00.0"}, {}}) ==
      R"({"functions":[{"address":"0000:00:04.0","vendor":"1b36","device":"0010","class":"010802","state":"leased",)"
      R"("detail":"","domain":3,"target":2,"guest":"web (2), by its stub domain 3","virtual_address":"0000:00:00.0","mode":"msix","vectors":[{"entry":0,"pirq":55},)"
      R"({"entry":1,"pirq":54}],"gsi":20,"line":{"decision":"acknowledge",)"
      R"("holder":"uio_pci_generic","acknowledging":true,"acknowledged":9,"spurious":7,"storm":true,"storms":2,)"
      R"("danger":"near"},)"
      R"("operations":1234,"refused":2,"permissive":false,"writes":"listed","quirks":["4c:4:ff","e8:2:1"],)"
      R"("interrupt_control":true,"refused_writes":17,"notes":["odd"],"guard":"none","errors":{"corrected":7,"nonfatal":1,"fatal":0,"recovered":1,)"
      R"("failed":0,"last":"non-fatal: Poisoned TLP"},"last_guests":[],"reserved":false,)"
      R"("line_guests":[5],"power":"d0","driver":""},)"
      R"({"address":"0000:00:05.0","vendor":"0000","device":"0000","class":"000000","state":"failed",)"
      R"("detail":"the reset failed","domain":null,"target":null,"guest":"","virtual_address":null,"mode":"intx","vectors":[],"gsi":0,)"
      R"("line":{"decision":"no line","holder":"pci-stub","acknowledging":false,"acknowledged":0,"spurious":0,)"
      R"("storm":false,"storms":0,"danger":"none"},"operations":0,"refused":0,)"
      R"("permissive":false,"writes":"strict","quirks":[],"interrupt_control":false,"refused_writes":0,"notes":[],"guard":"none",)"
      R"("errors":{"corrected":0,"nonfatal":0,"fatal":0,"recovered":0,"failed":0,"last":""},"last_guests":[3],)"
      R"("reserved":true,"line_guests":[],"power":"d0","driver":""}],)"
      R"("domains":[{"domain":3,"state":"connected","frontend":"connected","connected":true,)"
      R"("functions":["0000:00:04.0"],"operations":1500,"absent":255,"late":1,"spurious":4,)"
      R"("interrupt_operations":12,"delayed":2,"delayed_accesses":8,"interrupt_rate":25,"access_rate":20000,"polled":3,"events_late":6,"frontend_error":"22 no","name":""}],"beyond_xen":["10000:e1:00.0"],"unmet":[]})");
  CHECK(to_json({}) == R"({"functions":[],"domains":[],"beyond_xen":[],"unmet":[]})");
}
