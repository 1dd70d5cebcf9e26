// SPDX-License-Identifier: GPL-2.0-or-later
// The metrics' text, read by a parser of its own; and what is drawn of them.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "actors/look/exposition.hpp"
#include "actors/look/metrics.hpp"
#include "exposition_parser.hpp"
#include "temporary_directory.hpp"

using namespace std::chrono_literals;
using namespace test;

namespace {

const exposed_sample* sample_of(const exposed& all, const std::string& family,
                                const std::map<std::string, std::string>& labels = {}) {
  const auto found = all.find(family);
  if (found != all.end()) {
    for (const auto& each : found->second.samples) {
      if (each.labels == labels) {
        return &each;
      }
    }
  }
  return nullptr;
}

double value_of(const exposed& all, const std::string& family, const std::map<std::string, std::string>& labels = {}) {
  const auto* found = sample_of(all, family, labels);
  return found == nullptr ? std::nan("") : found->value;
}

/// One of everything.
actors::measurements much() {
  actors::measurements what;
  auto& all = what.overview.emplace();
  auto& leased = all.functions.emplace_back();
  leased.address = pci::make_sbdf(0, 3, 0, 0);
  leased.state = messages::function_state::leased;
  leased.operations = 12;
  leased.refused = 2;
  leased.acknowledged = 7;
  leased.spurious = 5;
  leased.vectors = {{0, 55}, {1, 54}};
  leased.errors.nonfatal = 3;
  auto& failed = all.functions.emplace_back();
  failed.address = pci::make_sbdf(0, 4, 0, 0);
  failed.state = messages::function_state::failed;
  auto& web = all.domains.emplace_back();
  web.domain = 3;
  web.connected = true;
  web.operations = 12;
  actors::operation_meter meter;
  for (int i = 0; i < 9; ++i) {
    meter.answered(0, pci::op_error::success);
    meter.took(7us);
  }
  meter.answered(1, pci::op_error::access_denied);
  meter.answered(77, pci::op_error::not_implemented);
  meter.answered(4, pci::op_error::op_failed);
  meter.took(1us);
  meter.took(2s);
  meter.took(1001ns);
  what.operations = meter.count();
  actors::scrub_meter scrubs;
  scrubs.ended(true, 30ms);
  scrubs.ended(true, 2min);
  scrubs.ended(false, 1s);
  what.scrubs = scrubs.count();
  what.happenings[static_cast<std::size_t>(actors::happening::adopted)] = 4;
  what.happenings[static_cast<std::size_t>(actors::happening::refused)] = 6;
  actors::actor_account device;
  device.kind = "device";
  device.subject = "0000:03:00.0";
  device.waiting = 2;
  device.handled = 40;
  device.oldest = 1500ms;
  auto job = device;
  job.kind = "job";
  job.subject.clear();
  job.lasts = false;
  what.actors = {device, job, job};
  return what;
}

std::string read_whole(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

} // namespace

TEST_CASE("what is escaped comes back as it was") {
  actors::exposition to;
  const std::string odd = "a\\b\"c\nd\\n{},= \xc3\xa4";
  to.gauge("odd", "one \"line\" with \\ and\nanother");
  to.sample(std::uint64_t{1}, {{"first", odd}, {"second", ""}});
  to.sample(0.5, {{"first", "x"}, {"second", ""}});
  const auto text = to.take();
  const auto got = exposition_parser::parse(text);
  CAPTURE(text);
  REQUIRE_MESSAGE(got.has_value(), got.error());
  CHECK(got->at("pcibackd_odd").help == "one \"line\" with \\ and\nanother");
  CHECK(got->at("pcibackd_odd").type == "gauge");
  CHECK(value_of(*got, "pcibackd_odd", {{"first", odd}, {"second", ""}}) == 1);
  CHECK(value_of(*got, "pcibackd_odd", {{"first", "x"}, {"second", ""}}) == 0.5);
}

TEST_CASE("a histogram's classes add up") {
  actors::exposition to;
  to.histogram("time_seconds", "help");
  const std::array<double, 2> ends{0.5, 2};
  const std::array<std::uint64_t, 3> each{3, 0, 2};
  to.sample(ends, each, 9.25, {{"result", "clean"}});
  CHECK(to.take() == "# HELP pcibackd_time_seconds help\n"
                     "# TYPE pcibackd_time_seconds histogram\n"
                     "pcibackd_time_seconds_bucket{result=\"clean\",le=\"0.5\"} 3\n"
                     "pcibackd_time_seconds_bucket{result=\"clean\",le=\"2\"} 3\n"
                     "pcibackd_time_seconds_bucket{result=\"clean\",le=\"+Inf\"} 5\n"
                     "pcibackd_time_seconds_sum{result=\"clean\"} 9.25\n"
                     "pcibackd_time_seconds_count{result=\"clean\"} 5\n");
}

TEST_CASE("the parser refuses what is not the form") {
  const std::string head = "# HELP a_total h\n# TYPE a_total counter\n";
  const std::string histogram = "# HELP h x\n# TYPE h histogram\n";
  CHECK(exposition_parser::parse(head + "a_total{x=\"y\"} 1\n").has_value());
  CHECK(exposition_parser::parse(histogram + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n"));
  for (const auto& bad : {
           head + "a_total 1",                                                                // no end
           head + "a_total{x=\"y\"}1\n",                                                      // no space
           head + "a_total{x=y} 1\n",                                                         // no quotes
           head + "a_total{x=\"y} 1\n",                                                       // no end of the value
           head + "a_total{x=\"\\y\"} 1\n",                                                   // escapes what needs none
           head + "a_total{x=\"y\",x=\"z\"} 1\n",                                             // twice
           head + "a_total{1x=\"y\"} 1\n",                                                    // no label
           head + "a_total one\n",                                                            // no number
           head + "a_total 1\na_total 1\n",                                                   // twice
           head + "a_total -1\n",                                                             // no counter
           head + "b 1\n",                                                                    // no family
           std::string{"a 1\n"},                                                              // likewise
           std::string{"# TYPE a counter\na 1\n"},                                            // no help
           std::string{"# HELP a h\n# TYPE a counter\na 1\n"},                                // no _total
           std::string{"# HELP a h\n# TYPE a number\n"},                                      // no type
           std::string{"# HELP a-b h\n"},                                                     // no name
           head + "# HELP b h\n# TYPE b gauge\nb 1\n" + head,                                 // begins twice
           histogram + "h_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n",                          // no class without an end
           histogram + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n", // falls
           histogram + "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 3\n",                       // another count
           histogram + "h_bucket{le=\"+Inf\"} 2\nh_count 2\n",                                // no sum
           histogram + "h 2\n",                                                               // no suffix
       }) {
    CAPTURE(bad);
    CHECK_FALSE(exposition_parser::parse(bad).has_value());
  }
}

TEST_CASE("the metrics tell what was measured") {
  const auto text = actors::metrics_text(much());
  const auto got = exposition_parser::parse(text);
  REQUIRE_MESSAGE(got.has_value(), got.error());
  CHECK(value_of(*got, "pcibackd_answers") == 1);
  CHECK(value_of(*got, "pcibackd_functions", {{"state", "leased"}}) == 1);
  CHECK(value_of(*got, "pcibackd_functions", {{"state", "held"}}) == 0);
  CHECK(got->at("pcibackd_functions").samples.size() == 9);
  const std::map<std::string, std::string> nic{{"function", "0000:03:00.0"}};
  CHECK(value_of(*got, "pcibackd_function_vectors", nic) == 2);
  CHECK(value_of(*got, "pcibackd_function_operations_total", nic) == 12);
  CHECK(value_of(*got, "pcibackd_function_operations_refused_total", nic) == 2);
  CHECK(value_of(*got, "pcibackd_line_interrupts_acknowledged_total", nic) == 7);
  CHECK(value_of(*got, "pcibackd_line_interrupts_spurious_total", nic) == 5);
  CHECK(value_of(*got, "pcibackd_function_errors_total", {{"function", "0000:03:00.0"}, {"severity", "nonfatal"}}) ==
        3);
  CHECK(value_of(*got, "pcibackd_guests") == 1);
  CHECK(value_of(*got, "pcibackd_guest_connected", {{"domain", "3"}}) == 1);
  CHECK(value_of(*got, "pcibackd_operations_total", {{"kind", "conf_read"}, {"result", "success"}}) == 9);
  CHECK(value_of(*got, "pcibackd_operations_total", {{"kind", "conf_write"}, {"result", "access_denied"}}) == 1);
  CHECK(value_of(*got, "pcibackd_operations_total", {{"kind", "other"}, {"result", "not_implemented"}}) == 1);
  CHECK(value_of(*got, "pcibackd_operations_total", {{"kind", "enable_msix"}, {"result", "op_failed"}}) == 1);
  CHECK(value_of(*got, "pcibackd_adoptions_total") == 4);
  CHECK(value_of(*got, "pcibackd_refusals_total") == 6);
  CHECK(value_of(*got, "pcibackd_events_total", {{"event", "adopted"}}) == 4);
  const std::map<std::string, std::string> device{{"kind", "device"}, {"subject", "0000:03:00.0"}};
  CHECK(value_of(*got, "pcibackd_actors", {{"kind", "job"}}) == 2);
  CHECK(value_of(*got, "pcibackd_actor_mailbox_messages", device) == 2);
  CHECK(value_of(*got, "pcibackd_actor_messages_total", device) == 40);
  CHECK(value_of(*got, "pcibackd_actor_oldest_work_seconds", device) == 1.5);
  CHECK(got->at("pcibackd_actor_messages_total").samples.size() == 1); // jobs come and go
}

TEST_CASE("times are in the classes that they belong to") {
  const auto got = exposition_parser::parse(actors::metrics_text(much()));
  REQUIRE(got.has_value());
  const auto within = [&got](const char* family, const char* end, std::map<std::string, std::string> labels = {}) {
    labels["le"] = end;
    return value_of(*got, family, labels);
  };
  // The sample of a class has its family's name with a suffix; the family stands for it here.
  CHECK(within("pcibackd_operation_duration_seconds", "1e-06") == 1);
  CHECK(within("pcibackd_operation_duration_seconds", "2e-06") == 2);
  CHECK(within("pcibackd_operation_duration_seconds", "5e-06") == 2);
  CHECK(within("pcibackd_operation_duration_seconds", "1e-05") == 11);
  CHECK(within("pcibackd_operation_duration_seconds", "1") == 11);
  CHECK(within("pcibackd_operation_duration_seconds", "+Inf") == 12);
  CHECK(within("pcibackd_scrub_duration_seconds", "0.05", {{"result", "clean"}}) == 1);
  CHECK(within("pcibackd_scrub_duration_seconds", "60", {{"result", "clean"}}) == 1);
  CHECK(within("pcibackd_scrub_duration_seconds", "+Inf", {{"result", "clean"}}) == 2);
  CHECK(within("pcibackd_scrub_duration_seconds", "0.5", {{"result", "failed"}}) == 0);
  CHECK(within("pcibackd_scrub_duration_seconds", "1", {{"result", "failed"}}) == 1);
}

TEST_CASE("without an answer of root the rest is told") {
  auto what = much();
  what.overview.reset();
  const auto got = exposition_parser::parse(actors::metrics_text(what));
  REQUIRE_MESSAGE(got.has_value(), got.error());
  CHECK(value_of(*got, "pcibackd_answers") == 0);
  CHECK_FALSE(got->contains("pcibackd_functions"));
  CHECK(value_of(*got, "pcibackd_operations_total", {{"kind", "conf_read"}, {"result", "success"}}) == 9);
}

TEST_CASE("an actor that is started again is not told twice while the old one ends") {
  auto what = much();
  what.actors.push_back(what.actors.front());
  what.actors.back().handled = 1;
  const auto got = exposition_parser::parse(actors::metrics_text(what));
  REQUIRE_MESSAGE(got.has_value(), got.error());
  CHECK(value_of(*got, "pcibackd_actor_messages_total", {{"kind", "device"}, {"subject", "0000:03:00.0"}}) == 1);
}

// Where it is installed: Prometheus' own word.
TEST_CASE("promtool accepts the metrics") {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) { // NOLINT(concurrency-mt-unsafe)
    return;
  }
  const test::temporary_directory directory;
  const auto path = directory / "metrics";
  std::ofstream{path} << actors::metrics_text(much());
  CHECK(std::system(("promtool check metrics <" + path).c_str()) == 0); // NOLINT(concurrency-mt-unsafe)
}

// -- what uses the names

namespace {

/// The words of a text that begin as the metrics' names do.
std::set<std::string> metrics_in(const std::string& text) {
  std::set<std::string> all;
  constexpr std::string_view prefix = "pcibackd_";
  for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at + 1)) {
    const auto end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", at);
    all.insert(text.substr(at, end - at));
  }
  return all;
}

std::string family_of(std::string name, const exposed& all) {
  for (const std::string_view suffix : {"_bucket", "_sum", "_count"}) {
    const auto without = name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : name;
    if (const auto found = all.find(without);
        without != name && found != all.end() && found->second.type == "histogram") {
      return without;
    }
  }
  return name;
}

void expressions_of(const nlohmann::json& from, std::string& into) {
  if (from.is_object() && from.contains("expr")) {
    into += from["expr"].get<std::string>() + "\n";
  }
  for (const auto& each : from) {
    if (each.is_structured()) {
      expressions_of(each, into);
    }
  }
}

} // namespace

TEST_CASE("the dashboard draws what there is, and the documentation tells of all and of nothing else") {
  const auto exported = exposition_parser::parse(actors::metrics_text(much()));
  REQUIRE(exported.has_value());
  const auto dashboard = nlohmann::json::parse(read_whole(DOCUMENTATION "/grafana-dashboard.json"), nullptr, false);
  REQUIRE(dashboard.is_object());
  std::string expressions;
  expressions_of(dashboard, expressions);
  const auto drawn = metrics_in(expressions);
  CHECK(drawn.size() > 10);
  for (const auto& name : drawn) {
    CAPTURE(name);
    CHECK(exported->contains(family_of(name, *exported)));
  }
  const auto told = metrics_in(read_whole(DOCUMENTATION "/metrics.md"));
  for (const auto& name : told) {
    CAPTURE(name);
    CHECK(exported->contains(family_of(name, *exported)));
  }
  for (const auto& [name, family] : *exported) {
    CAPTURE(name);
    CHECK(told.contains(name));
  }
}
