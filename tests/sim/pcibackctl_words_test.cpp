// SPDX-License-Identifier: GPL-2.0-or-later
// What an administrator types, and what is said when it cannot be done.
#include <cerrno>
#include <csignal>
#include <thread>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "temporary_directory.hpp"
#include "tools/pcibackctl/arguments.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/names.hpp"
#include "tools/pcibackctl/outcome.hpp"
#include "tools/pcibackctl/progress.hpp"
#include "tools/pcibackctl/remote.hpp"

using namespace client_program;
using pci::failure_kind;
using words = std::vector<std::string>;

namespace {

const auto third_slot = pci::make_sbdf(0, 3, 0, 0);

} // namespace

TEST_CASE("what is meant as an address is never taken for a guest's name") {
  CHECK(std::get<pci::sbdf>(*target_argument("0000:03:00.0")) == third_slot);
  CHECK(std::get<pci::sbdf>(*target_argument("03:00.0")) == third_slot);
  CHECK(std::get<std::string>(*target_argument("web")) == "web");
  CHECK(std::get<std::string>(*target_argument("7")) == "7");
  for (const auto* text : {"03:00.9", "0000:3g:00.0", "03:00", "0000:03:20.0", ":", "web:1"}) {
    CAPTURE(text);
    const auto got = target_argument(text);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().context ==
          "\"" + std::string(text) +
              "\" is not the address of a function; give one such as 0000:03:00.0, as lspci -D shows "
              "them: hexadecimal, the slot up to 1f, the function up to 7");
    CHECK_FALSE(address_argument(text).has_value());
  }
  CHECK(address_argument("10000:e1:00.0").error().context.find("VMD") != std::string::npos);
  CHECK(guest_argument("web") == "web");
  CHECK(guest_argument("03:00.0").error().context ==
        "03:00.0 is an address, where a guest's name or number belongs: give the guest first, then the address");
}

TEST_CASE("an unknown command or option is told with the nearest that there is") {
  const words commands{"hold", "release", "list", "lines", "explain"};
  CHECK(unknown_command("lsit", commands) == "there is no command \"lsit\"; did you mean \"list\"?");
  CHECK(unknown_command("reboot", commands) ==
        "there is no command \"reboot\"; pcibackctl --help shows those that there are");
  CHECK(unknown_option("--siezed", "hold", words{"--seize", "--json"}) ==
        "pcibackctl hold has no option --siezed; did you mean --seize?");
  CHECK(unknown_option("--colour=x", "", words{"--json"}) ==
        "pcibackctl has no option --colour=x; pcibackctl --help shows those it has");
  const words with_value{"--socket", "-H"};
  CHECK(command_word(words{"--socket", "list", "lsit"}, with_value) == "lsit");
  CHECK(command_word(words{"--json", "lsit"}, with_value) == "lsit");
  CHECK(command_word(words{"--socket=a", "-Hb", "lsit"}, with_value) == "lsit");
  CHECK_FALSE(command_word(words{"--json", "--socket"}, with_value));
}

TEST_CASE("a command for another host is what was typed, each word as it was") {
  CHECK(remote_command("dom0", words{"-H", "dom0", "list", "--json"}, false) ==
        words{"ssh", "--", "dom0", "pcibackctl list --json"});
  CHECK(remote_command("dom0", words{"list", "--host=dom0"}, false) == words{"ssh", "--", "dom0", "pcibackctl list"});
  CHECK(remote_command("dom0", words{"-Hdom0", "list"}, true) ==
        words{"ssh", "-t", "-o", "LogLevel=ERROR", "--", "dom0", "pcibackctl list"});
  CHECK(remote_command("dom0", words{"attach", "--", "-H", "03:00.0"}, false)->back() ==
        "pcibackctl attach -- -H 03:00.0");
  CHECK(remote_command("dom0", words{"drain", "a; rm -rf $HOME `x` 'y'"}, false)->back() ==
        R"(pcibackctl drain 'a; rm -rf $HOME `x` '\''y'\''')");
  for (const auto* host : {"", "-oProxyCommand=x"}) {
    CHECK(remote_command(host, words{"list"}, false).error().error == EINVAL);
  }
}

TEST_CASE("a shell reads a quoted word back as it was") {
  for (const std::string word : {"", "a b", "a'b", "$HOME", "`id`", "\\", "a\nb", "*", "~", "\"", "#x", "ü"}) {
    CAPTURE(word);
    const auto command = "printf %s " + shell_quoted(word);
    auto* output = ::popen(command.c_str(), "r");
    REQUIRE(output != nullptr);
    std::string read;
    for (int c = std::fgetc(output); c != EOF; c = std::fgetc(output)) {
      read += static_cast<char>(c);
    }
    ::pclose(output);
    CHECK(read == word);
  }
  CHECK(shell_quoted("0000:03:00.0") == "0000:03:00.0");
}

TEST_CASE("each kind of failure has its exit code, for good") {
  const std::vector<std::pair<failure_kind, int>> codes{
      {failure_kind::failed, 1}, {failure_kind::usage, 2},  {failure_kind::no_daemon, 3}, {failure_kind::refused, 4},
      {failure_kind::busy, 5},   {failure_kind::absent, 6}, {failure_kind::timed_out, 7}};
  for (const auto& [kind, code] : codes) {
    CHECK(static_cast<int>(exit_code_of(kind)) == code);
  }
}

TEST_CASE("a failure is one prefixed line, or with --json one object") {
  const complaint why{failure_kind::busy, EBUSY, "0000:03:00.0 is in use by \x1b[31mnvme\n"};
  CHECK(line_of(why) == "pcibackctl: 0000:03:00.0 is in use by ?[31mnvme?\n");
  CHECK(json_of({failure_kind::busy, EBUSY, "in use"}) ==
        "{\"error\":{\"kind\":\"busy\",\"exit\":5,\"errno\":\"EBUSY\",\"message\":\"in use\"}}\n");
  CHECK(json_of({failure_kind::usage, 0, "\xff"}) ==
        "{\"error\":{\"kind\":\"usage\",\"exit\":2,\"errno\":null,\"message\":\"\xef\xbf\xbd\"}}\n");
}

TEST_CASE("the daemon's errors are told in its words, without errno's and the protocol's") {
  const auto busy = read_answer(R"j({"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"x: Device busy (16)",)j"
                                R"("data":{"errno":16,"what":"x is in use","name":"EBUSY","kind":"busy"}}})",
                                "hold");
  REQUIRE_FALSE(busy.has_value());
  CHECK(busy.error().text == "x is in use");
  CHECK(busy.error().kind == failure_kind::busy);
  CHECK(busy.error().error == EBUSY);
  const auto older = read_answer(R"({"error":{"code":-32000,"message":"m","data":{"errno":19}}})", "hold");
  CHECK(older.error().kind == failure_kind::absent);
  CHECK(older.error().text == "m");
  const auto wrong = read_answer(R"({"error":{"code":-32602,"message":"give it","data":{"kind":"usage"}}})", "hold");
  CHECK(wrong.error().kind == failure_kind::usage);
  CHECK(wrong.error().text == "give it");
  const auto unknown = read_answer(R"({"error":{"code":-32601,"message":"there is no such method"}})", "explain");
  CHECK(unknown.error().text == "this pcibackd does not know \"explain\": it is older than pcibackctl; restart it");
  CHECK(read_answer("nonsense", "list").error().kind == failure_kind::failed);
  CHECK(read_answer("[]", "list").error().kind == failure_kind::failed);
  CHECK(read_answer(R"({"result":{}})", "hold") == "{}");
}

TEST_CASE("what is so already is a success of hold and attach, and of nothing else") {
  const complaint held{failure_kind::busy, EEXIST, "0000:03:00.0 is held already"};
  CHECK(is_so_already("hold", held));
  CHECK(is_so_already("attach", held));
  CHECK_FALSE(is_so_already("release", held));
  CHECK_FALSE(is_so_already("hold", {failure_kind::busy, EBUSY, "x"}));
  CHECK(already_json(held) == "{\"already\":true,\"message\":\"0000:03:00.0 is held already\"}\n");
}

TEST_CASE("without a daemon, and with one that does not answer, the kind says so") {
  const test::temporary_directory directory;
  const auto path = directory / "control.sock";
  CHECK(ask(path, {"list", {}, {}, {}, {}}).error().kind == failure_kind::no_daemon);
  CHECK(ask("/" + std::string(200, 'x'), {"list", {}, {}, {}, {}}).error().kind == failure_kind::usage);

  const int silent = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(silent, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(silent, 1) == 0);
  patience short_one;
  short_one.limit = std::chrono::milliseconds(1100);
  std::vector<std::chrono::seconds> told;
  short_one.waiting = [&](std::chrono::seconds elapsed) { told.push_back(elapsed); };
  const auto got = ask(path, {"list", {}, {}, {}, {}}, short_one);
  ::close(silent);
  CHECK(got.error().kind == failure_kind::timed_out);
  CHECK(got.error().text == "pcibackd did not answer in 1.1 s; it may go on with it: see its log, or pcibackctl list");
  REQUIRE_FALSE(told.empty());
  CHECK(told.front() == std::chrono::seconds(1));
}

TEST_CASE("Ctrl-C ends at once, with 130") {
  const auto child = ::fork();
  if (child == 0) {
    end_on_interrupt();
    ::raise(SIGINT);
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  CHECK(progress_text("hold 0000:03:00.0", std::chrono::seconds(3)) ==
        "hold 0000:03:00.0: 3 s; Ctrl-C ends the waiting, not the work");
}

TEST_CASE("cards have names that are short enough for a table") {
  CHECK(short_name("Intel Corporation", "82574L Gigabit Network Connection") ==
        "Intel 82574L Gigabit Network Connection");
  CHECK(short_name("Advanced Micro Devices, Inc. [AMD/ATI]", "Navi 10 [Radeon RX 5600 OEM/5600 XT / 5700/5700 XT]") ==
        "Advanced Micro Devices Radeon RX 5600 OEM/5600 XT / 5700/5700 XT");
  CHECK(short_name("NVIDIA Corporation", "GP104 [GeForce GTX 1080]") == "NVIDIA GeForce GTX 1080");
  CHECK(short_name("Realtek Semiconductor Co., Ltd.", "RTL8111") == "Realtek RTL8111");
  CHECK(short_name("QEMU", "QEMU Virtual Machine") == "QEMU Virtual Machine");
  CHECK(short_name("Intel Corporation", "").compare("Intel") == 0);
  CHECK(short_name("", "Device").compare("Device") == 0);
  CHECK(short_name("", "").empty());
  CHECK(short_name("X", "odd ] [ name") == "X odd ] [ name");
  const auto names = pci_ids();
  CHECK(names("8086", "10d3") == "Intel 82574L Gigabit Network Connection");
  CHECK(names("0000", "0000").empty());
  CHECK(names("", "").empty());
}

TEST_CASE("a card's name: where there is no list, to ask for one does no harm") {
  const auto names = pci_ids("/nonexistent/pci.ids");
  CHECK_NOTHROW((void)names("8086", "10d3")); // udev's hardware database may know it all the same
  CHECK(names("", "").empty());
}
