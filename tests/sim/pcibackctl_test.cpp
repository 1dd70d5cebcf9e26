// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>

#include <doctest/doctest.h>

#include "temporary_directory.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/table.hpp"

using namespace client_program;

TEST_CASE("requests have what the administrator gave, and no more") {
  const auto address = pci::make_sbdf(0, 3, 0, 1);
  CHECK(request_line({"list", {}, {}, {}, {}}) == R"({"jsonrpc":"2.0","id":1,"method":"list","params":{}})");
  CHECK(request_line({"hold", {}, address, true, {}}) ==
        R"({"jsonrpc":"2.0","id":1,"method":"hold","params":{"address":"0000:03:00.1","seize":true}})");
  CHECK(request_line({"attach", "web", address, {}, {}}) ==
        R"({"jsonrpc":"2.0","id":1,"method":"attach","params":{"domain":"web","address":"0000:03:00.1"}})");
  CHECK(request_line({"acknowledge", {}, address, {}, false}) ==
        R"({"jsonrpc":"2.0","id":1,"method":"acknowledge","params":{"address":"0000:03:00.1","on":false}})");
  client_program::call quirk{"quirk", {}, address, {}, true};
  quirk.quirk.emplace("e8:2:f0");
  CHECK(request_line(quirk) ==
        R"({"jsonrpc":"2.0","id":1,"method":"quirk","params":{"address":"0000:03:00.1","on":true,"quirk":"e8:2:f0"}})");
  CHECK(request_line({"release", {}, address, {}, {}, {}, false}) ==
        R"({"jsonrpc":"2.0","id":1,"method":"release","params":{"address":"0000:03:00.1","probe":false}})");
  CHECK(request_line({"drain", "web", {}, {}, {}}) ==
        R"({"jsonrpc":"2.0","id":1,"method":"drain","params":{"domain":"web"}})");
  CHECK(request_line({"detach", "a\xff\n", address, {}, {}}).find('\n') == std::string::npos);
}

TEST_CASE("answers give their result, or the daemon's words") {
  CHECK(result_of(R"({"jsonrpc":"2.0","id":1,"result":{"a":[1,2]}})") == R"({"a":[1,2]})");
  const auto busy = result_of(
      R"({"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"in use by nvme","data":{"errno":16,"what":"x"}}})");
  REQUIRE_FALSE(busy.has_value());
  CHECK(busy.error() == pci::failure{EBUSY, "in use by nvme"});
  const auto refused = result_of(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no such method"}})");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == pci::failure{EPROTO, "no such method"});
}

TEST_CASE("what is no answer is a failure of its own") {
  for (const auto* line : {"", "HTTP/1.1 400 Bad Request", "[]", "{}", "3", R"({"error":3})", R"({"error":{}})",
                           R"({"error":{"message":3,"data":3}})", R"({"error":{"data":{"errno":"x"}}})"}) {
    CAPTURE(line);
    const auto got = result_of(line);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().error == EPROTO);
    CHECK_FALSE(got.error().context.empty());
  }
}

TEST_CASE("the account of writes ends with settings to paste") {
  const auto text = writes_of(
      R"({"address":"0000:03:00.0","writes":"listed","quirks":["4c:4:f"],"fields":[],"refused":7,"last":[)"
      R"j({"register":"Express+8 (Device Control)","quirk":"e8:2:1001","value":"2830","count":6,"denied":false},)j"
      R"({"register":"","quirk":"d2:2:ffff","value":"81","count":1,"denied":true}],)"
      R"("suggested":["4c:4:f","e8:2:1001"]})");
  REQUIRE(text.has_value());
  CHECK(*text == "0000:03:00.0: writes: listed; 7 refused\n"
                 "\n"
                 "Register:Size:Mask  Name                        Value  Times  Answer\n"
                 "e8:2:1001           Express+8 (Device Control)  2830   6      dropped\n"
                 "d2:2:ffff           -                           81     1      denied\n"
                 "\n"
                 "To let the guest write these, put into the settings:\n"
                 "\n"
                 "[[device]]\n"
                 "match = \"0000:03:00.0\"\n"
                 "quirks = [\"4c:4:f\", \"e8:2:1001\"]\n");
  CHECK(writes_of(R"({"address":"0000:03:00.0","writes":"all","refused":0,"last":[],"suggested":[]})") ==
        "0000:03:00.0: writes: all; 0 refused\n");
  CHECK(writes_of(R"({"address":"03:00.0","writes":"listed","refused":0,"quirks":["0:1:1"],"last":[],)"
                  R"("suggested":["0:1:1"]})") == "03:00.0: writes: listed; 0 refused\n");
  for (const auto* odd : {"", "[]", "{}", R"({"last":3})"}) {
    CHECK(writes_of(odd).error().error == EPROTO);
  }
}

TEST_CASE("the table has xl's columns first, and dashes for what is not there") {
  const auto table = table_of(
      R"({"functions":[{"address":"0000:00:04.0","state":"leased","detail":"","domain":3,"vendor":"8086",)"
      R"("virtual_address":"0000:00:01.0","mode":"msix","vectors":[{"entry":0,"pirq":55},{"entry":1,"pirq":54}],)"
      R"("operations":1234,"writes":"listed","guard":"armed","driver":"pci-stub","device":"10d3"},)"
      R"({"address":"0000:00:05.0","state":"failed","detail":"the reset failed","domain":null,"virtual_address":null,)"
      R"("mode":"intx","vectors":[],"operations":0,"guard":"none"},)"
      R"({"address":"0000:07:00.0","state":"leased","domain":12,"virtual_address":"0000:07:00.0"}],)"
      R"("domains":[{"domain":3,"name":"web","state":"connected","frontend":"connected"},)"
      R"({"domain":12,"state":"initwait","frontend":"initialising"}]})",
      {}, [](const std::string& vendor, const std::string& device) { return vendor.empty() ? "" : vendor + device; });
  REQUIRE(table.has_value());
  CHECK(
      *table ==
      "Vdev          Device        Guest    State   Xenbus                 Driver    Mode  Vectors  Guard  Writes  "
      "Operations  Name      Detail\n"
      "01.0          0000:00:04.0  web (3)  leased  connected              pci-stub  msix  2        armed  listed  "
      "1234        808610d3  -\n"
      "-             0000:00:05.0  -        failed  -                      -         intx  -        -      -       0  "
      "         -         the reset failed\n"
      "0000:07:00.0  0000:07:00.0  12       leased  initwait/initialising  -         -     -        -      -       -  "
      "         -         -\n");
  CHECK(table_of(R"({"functions":[],"domains":[]})") == "no functions are held\n");
}

TEST_CASE("the table tells of functions that Xen cannot name, and below it what has no room in it") {
  const auto table =
      table_of(R"({"functions":[{"address":"0000:00:04.0","state":"held","notes":["it does DMA as function 1 too"]}],)"
               R"("domains":[{"domain":3,"frontend_error":""},{"domain":4,"name":"db","frontend_error":"2 no magic"}],)"
               R"("beyond_xen":["10000:e1:00.0"]})");
  REQUIRE(table.has_value());
  CHECK(*table ==
        "Vdev  Device         Guest  State    Xenbus  Driver  Mode  Vectors  Guard  Writes  Operations  Name  "
        "Detail\n"
        "-     0000:00:04.0   -      held     -       -       -     -        -      -       -           -     -\n"
        "-     10000:e1:00.0  -      refused  -       -       -     -        -      -       -           -     "
        "beyond Xen, which knows segments up to ffff (Intel VMD)\n"
        "\n"
        "0000:00:04.0: it does DMA as function 1 too\n"
        "db (4): its frontend says: 2 no magic\n");
}

TEST_CASE("what the settings want in vain has its line, or its word in the function's own") {
  const auto table = table_of(
      R"j({"functions":[{"address":"0000:00:04.0","state":"held","detail":""},)j"
      R"j({"address":"0000:00:05.0","state":"refused","detail":"another card than pinned"}],"domains":[],"unmet":[)j"
      R"j({"address":"0000:00:03.0","gap":"not-held","guest":null,"driver":"nvme","why":"dom0's driver nvme has it"},)j"
      R"j({"address":"0000:00:04.0","gap":"no-guest","guest":"wbe","driver":null,"why":"no guest called \"wbe\" runs"},)j"
      R"j({"address":"0000:00:05.0","gap":"not-held","guest":"db","driver":null,"why":"another card than pinned"},)j"
      R"j({"address":"0000:00:06.0","gap":"absent","guest":"web","driver":null,"why":"the host has no such function"}]})j");
  REQUIRE(table.has_value());
  const auto has = [&](const char* line) { return table->find(line) != std::string::npos; };
  CHECK(
      has("-     0000:00:03.0  -      not held  -       nvme    -     -        -      -       -           -     dom0's "
          "driver nvme has it\n"));
  CHECK(has("assigned to \"wbe\": no guest called \"wbe\" runs\n"));
  CHECK(has("another card than pinned; assigned to \"db\"\n"));
  CHECK(has("-     0000:00:06.0  web    absent    "));
}

TEST_CASE("on a terminal the table is no wider than that, and coloured where that is wanted") {
  const std::string list =
      R"({"functions":[{"address":"0000:00:05.0","state":"failed","detail":"the reset failed, and what follows takes)"
      R"( more room than there is in one line of a terminal","operations":7,"writes":"strict","mode":"intx"}]})";
  for (const unsigned width : {40U, 60U, 80U, 132U}) {
    CAPTURE(width);
    const auto table = table_of(list, {.width = width, .colour = false}).value();
    CAPTURE(table);
    for (std::size_t at = 0; at < table.size();) {
      const auto end = table.find('\n', at);
      CHECK(end - at <= width);
      at = end + 1;
    }
    CHECK(table.find("0000:00:05.0") != std::string::npos);
    for (const auto* word :
         {"failed", "follows", "terminal"}) { // it goes on in further lines, word by word, to its end
      CHECK(table.find(word) != std::string::npos);
    }
    CHECK(table.find('\x1b') == std::string::npos);
  }
  CHECK(table_of(list, {.width = 80, .colour = true}).value().find("\x1b[31m") != std::string::npos);
  CHECK(table_of(list).value().find("Operations") != std::string::npos);
  CHECK(table_of(list, {.width = 80, .colour = false}).value().find("Operations") == std::string::npos);
}

TEST_CASE("the table of lines says what is done about each") {
  const auto table = lines_of(
      R"({"functions":[{"address":"0000:03:00.0","domain":3,"gsi":21,"line_guests":[4],"line":{"decision":"acknowledge",)"
      R"("holder":"uio_pci_generic","acknowledging":true,"acknowledged":9,"spurious":7,"storm":true,"storms":2,)"
      R"("danger":"near"}},{"address":"0000:04:00.0","domain":null,"gsi":0}],"domains":[{"domain":3,"name":"web"}]})");
  REQUIRE(table.has_value());
  CHECK(*table ==
        "Line  Device        Guest           Decision     Holder           Ack  Handled  Spurious  Storms  Danger\n"
        "21    0000:03:00.0  web (3) with 4  acknowledge  uio_pci_generic  on   9        7         2, now  near\n"
        "0     0000:04:00.0  -               -            -                off  -        -         -       -\n");
  CHECK(lines_of(R"({"functions":[],"domains":[]})") == "no functions are held\n");
  CHECK(lines_of("[]").error().error == EPROTO);
}

TEST_CASE("an explanation of another form is refused, one with odd parts is shown as far as it goes") {
  for (const auto* text : {"", "[]", "{}", R"({"functions":[]})", R"({"functions":[],"verdict":3})"}) {
    CAPTURE(text);
    CHECK(explanation_of(text).error().error == EPROTO);
  }
  CHECK(explanation_of(R"({"functions":[3,{"address":"0000:03:00.0","status":7,"troubles":[1]}],)"
                       R"("verdict":{"kind":"works","text":"it \u001b works","command":null}})")
            ->find("verdict: it ? works.\n") != std::string::npos);
}

TEST_CASE("a list of another form is refused") {
  for (const auto* text : {"", "[]", "{}", R"({"functions":3})"}) {
    CAPTURE(text);
    const auto table = table_of(text);
    REQUIRE_FALSE(table.has_value());
    CHECK(table.error().error == EPROTO);
  }
  // What stands for a function may be anything.
  CHECK(table_of(R"({"functions":[{"vectors":3,"address":[]}]})").has_value());
}

TEST_CASE("without a daemon there is one line that says so") {
  const test::temporary_directory directory;
  const auto got = exchange(directory / "control.sock", "x");
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().error == ENOENT);
  CHECK(got.error().context == "no daemon serves " + (directory / "control.sock") +
                                   " (No such file or directory); start pcibackd, or name its socket with --socket");
  const auto longer = exchange("/" + std::string(200, 'x'), "x");
  REQUIRE_FALSE(longer.has_value());
  CHECK(longer.error().error == ENAMETOOLONG);
}
