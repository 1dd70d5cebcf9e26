// SPDX-License-Identifier: GPL-2.0-or-later
// Who is in the daemon, how each is, and what it tells of.
#include <algorithm>
#include <future>
#include <numeric>
#include <thread>

#include "actors/control/control.hpp"
#include "actors/look/census.hpp"
#include "actors/look/metrics.hpp"
#include "actors/runtime.hpp"
#include "exposition_parser.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using platform::sim::driver;
using platform::sim::frontend;

namespace {

/// The daemon, and what it tells of while the test runs.
struct told_of : two_cards {
  explicit told_of(actors::settings settings = {}) : two_cards(std::move(settings)) {
    all->seen->events.listen([this](const actors::event& what) {
      heard.push_back(
          fmt::format("{} {}{}{}", to_string(what.what), what.function ? pci::to_string(*what.function) : "-",
                      what.guest.empty() ? "" : " " + what.guest, what.detail.empty() ? "" : ": " + what.detail));
    });
  }
  ~told_of() override { all->seen->events.listen({}); }
  std::vector<std::string> take() { return std::exchange(heard, {}); }

  [[nodiscard]] std::vector<actors::actor_account> actors_now() const { return actors::census::all().take(system); }
  [[nodiscard]] std::optional<actors::actor_account> find(const std::string& kind, const std::string& subject) const {
    for (const auto& who : actors_now()) {
      if (who.kind == kind && who.subject == subject) {
        return who;
      }
    }
    return std::nullopt;
  }

  std::vector<std::string> heard;
};

using told_lines = std::vector<std::string>;

} // namespace

TEST_SUITE_BEGIN("deterministic");

TEST_CASE_FIXTURE(told_of, "each actor is known with its owner, its subject and its state") {
  REQUIRE(hold(nic));
  const auto root_seen = find("root", "");
  const auto device_seen = find("device", "0000:00:03.0");
  REQUIRE(root_seen);
  REQUIRE(device_seen);
  CHECK(root_seen->owner == 0);
  CHECK(device_seen->owner == root_seen->id);
  CHECK(device_seen->state == "held");
  CHECK(device_seen->handled > 0);
  CHECK(device_seen->waiting == 0);
  CHECK_FALSE(device_seen->oldest);
  CHECK(find("worker", "xenstore"));
  CHECK_FALSE(find("job", "")); // all have ended

  const auto domain = boot("web", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  const auto name = fmt::format("web ({})", domain);
  const auto domain_seen = find("domain", name);
  REQUIRE(domain_seen);
  CHECK(domain_seen->owner == root_seen->id);
  CHECK(domain_seen->state == "Connected");
  CHECK(find("device", "0000:00:03.0")->state == "leased");
  const auto thread = find("thread", "of the guest's operations");
  REQUIRE(thread);
  CHECK(thread->owner == domain_seen->id);
  CHECK(thread->handled > 0);
  const auto before = thread->handled;
  CHECK(guest.read(first_slot, 0, 4).good());
  CHECK(find("thread", "of the guest's operations")->handled == before + 1);

  host.toolstack_destroy(domain);
  run();
  CHECK_FALSE(find("domain", name));
  CHECK_FALSE(find("thread", "of the guest's operations"));
  REQUIRE(release(nic));
  run();
  CHECK_FALSE(find("device", "0000:00:03.0"));
}

TEST_CASE_FIXTURE(told_of, "what waits in a mailbox is counted before anybody handles it") {
  REQUIRE(hold(nic));
  const auto before = *find("device", "0000:00:03.0");
  const auto whom = device(nic);
  for (int i = 0; i < 5; ++i) {
    caf::anon_send(whom, messages::line_atom_v);
  }
  const auto waiting = *find("device", "0000:00:03.0");
  CHECK(waiting.waiting == 5);
  CHECK(waiting.oldest);
  run();
  const auto after = *find("device", "0000:00:03.0");
  CHECK(after.waiting == 0);
  CHECK(after.handled >= before.handled + 5);
  CHECK_FALSE(after.oldest);
}

TEST_CASE_FIXTURE(told_of, "a device actor that a bug has ended is known as started again") {
  REQUIRE(hold(nic));
  const auto first = *find("device", "0000:00:03.0");
  CHECK(first.restarts == 0);
  caf::anon_send_exit(device(nic), caf::exit_reason::kill);
  REQUIRE(wait_until_held(nic));
  const auto second = *find("device", "0000:00:03.0");
  CHECK(second.restarts == 1);
  CHECK(second.id != first.id);
}

TEST_CASE_FIXTURE(told_of, "the life of a function and of its guest is told of as it happens") {
  REQUIRE(hold(nic));
  CHECK(take() == told_lines{"scrubbed 0000:00:03.0", "held 0000:00:03.0"});
  const auto domain = boot("web", {nic});
  const auto name = fmt::format("web ({})", domain);
  CHECK(take() == told_lines{"leased 0000:00:03.0 " + name});
  {
    frontend guest(host, domain, *this);
    REQUIRE(guest.connect());
    CHECK(take() == told_lines{"connected - " + name});
  }
  host.toolstack_destroy(domain);
  run();
  REQUIRE(wait_until_held(nic));
  auto end = take();
  std::ranges::sort(end);
  CHECK(end == told_lines{"disconnected - " + name, "ended - " + name, "returned 0000:00:03.0 " + name,
                          "scrubbed 0000:00:03.0 " + name});
  REQUIRE(release(nic));
  run();
  CHECK(take() == told_lines{"released 0000:00:03.0"});
  REQUIRE(hold(nic));
  take();
  REQUIRE(host.remove_function(nic));
  run();
  CHECK(take() == told_lines{"removed 0000:00:03.0"});
}

TEST_CASE_FIXTURE(told_of, "what is refused is told with the reason") {
  REQUIRE(hold(nic));
  const auto web = boot("web", {nic});
  take();
  const auto refused = attach("web", nic);
  REQUIRE_FALSE(refused);
  const auto second = ask<void>(device(nic), messages::grant_atom_v, static_cast<domain_id>(web + 1));
  REQUIRE_FALSE(second);
  const auto told = take();
  REQUIRE_FALSE(told.empty());
  CHECK(told.back().starts_with("refused 0000:00:03.0"));
  CHECK(told.back().ends_with(second.error().context));
  CHECK(all->seen->events.count(actors::happening::refused) == told.size());
}

TEST_CASE_FIXTURE(told_of, "each operation is counted once, by what it was and how long it took") {
  REQUIRE(hold(nic));
  const auto domain = boot("web", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(driver(guest, first_slot).probe(2));
  CHECK_FALSE(guest.read(first_slot, 1, 2).good());
  CHECK_FALSE(guest.read(second_slot, 0, 4).good());
  const auto now = all->seen->operations.count();
  std::uint64_t answered = 0;
  for (const auto& kind : now.answered) {
    for (const auto count : kind) {
      answered += count;
    }
  }
  std::uint64_t timed = 0;
  for (const auto count : now.times) {
    timed += count;
  }
  CHECK(answered == guest_status(domain).operations);
  CHECK(timed == answered);
  CHECK(now.answered[0][2] >= 1); // conf_read, invalid_offset
  CHECK(now.answered[0][1] >= 1); // conf_read, dev_not_found
  CHECK(now.answered[1][0] >= 1);
  CHECK(now.taken > 0ns);

  const auto overview = status();
  const auto text = actors::metrics_text(actors::measure_now(*all->seen, system, &overview));
  const auto exported = exposition_parser::parse(text);
  REQUIRE_MESSAGE(exported.has_value(), exported.error());
  host.toolstack_destroy(domain);
  run();
  CHECK(all->seen->operations.count().answered[1][0] == now.answered[1][0]);
  REQUIRE(wait_until_held(nic));
  const auto scrubs = all->seen->scrubs.count();
  CHECK(std::accumulate(scrubs.clean.times.begin(), scrubs.clean.times.end(), std::uint64_t{0}) == 2);
  CHECK(std::accumulate(scrubs.failed.times.begin(), scrubs.failed.times.end(), std::uint64_t{0}) == 0);
}

TEST_SUITE_END();

// With threads: one actor hangs, on the thread that all share, and is seen to.
TEST_CASE("an actor that hangs is shown, and that those behind it wait") {
  std::promise<void> end;
  std::promise<void> begun;
  std::promise<std::string> answer;
  const std::shared_future<void> until = end.get_future().share();
  platform::sim::host host(platform::sim::clock::kind::real);
  auto runtime = actors::runtime::start(host, {});
  REQUIRE(runtime.has_value());
  auto& system = (*runtime)->system();
  auto hangs = system.spawn(actors::worker, "hangs");
  auto waits = system.spawn(actors::worker, "waits");
  std::promise<void> ready; // it has run before: one that has not has no name yet
  caf::anon_send(waits, messages::run_atom_v, messages::job{[&] { ready.set_value(); }});
  ready.get_future().wait();
  caf::anon_send(hangs, messages::run_atom_v, messages::job{[&] {
                   begun.set_value();
                   until.wait();
                 }});
  begun.get_future().wait();
  caf::anon_send(hangs, messages::run_atom_v, messages::job{[] {}});
  caf::anon_send(waits, messages::run_atom_v, messages::job{[] {}});
  caf::anon_send((*runtime)->root(), messages::introduced_atom_v);

  // Who is asked has a thread of its own.
  auto control = system.spawn<caf::detached>(
      actors::control_behavior, (*runtime)->root(),
      [&answer](std::uint64_t, std::string line) { answer.set_value(std::move(line)); }, actors::control_views{});
  std::this_thread::sleep_for(actors::pulse::patience + 50ms);
  const auto asked_at = std::chrono::steady_clock::now();
  caf::anon_send(control, messages::request_atom_v, std::uint64_t{1},
                 std::string{R"({"jsonrpc":"2.0","id":1,"method":"actors"})"});
  auto answered = answer.get_future();
  REQUIRE(answered.wait_for(5s) == std::future_status::ready);
  CHECK(std::chrono::steady_clock::now() - asked_at < 1s);
  const auto line = answered.get();
  const auto at_hangs = line.find(R"("subject":"hangs","state":"","answers":false,"waiting":1,"handled":0)");
  const auto at_waits = line.find(R"("subject":"waits","state":"","answers":false,"waiting":1,"handled":1)");
  CAPTURE(line);
  CHECK(at_hangs != std::string::npos);
  CHECK(at_waits != std::string::npos);
  CHECK(line.find(R"("kind":"control")") != std::string::npos);
  CHECK(line.find(R"("kind":"root","subject":"","state":"","answers":false,"waiting":1)") != std::string::npos);

  end.set_value();
  caf::anon_send_exit(hangs, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(waits, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(control, caf::exit_reason::user_shutdown);
}
