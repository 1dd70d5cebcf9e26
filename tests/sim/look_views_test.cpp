// SPDX-License-Identifier: GPL-2.0-or-later
// What looks inside the daemon, as JSON and as text for people.
#include <cerrno>

#include <doctest/doctest.h>

#include "actors/control/answer.hpp"
#include "tools/pcibackctl/actors_view.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/events_view.hpp"

using namespace client_program;
using namespace std::chrono_literals;

namespace {

std::vector<actors::actor_account> some_actors() {
  actors::actor_account root;
  root.id = 2;
  root.kind = "root";
  root.handled = 31;
  auto device = root;
  device.id = 5;
  device.owner = 2;
  device.kind = "device";
  device.subject = "0000:03:00.0";
  device.state = "scrubbing";
  device.restarts = 1;
  auto job = device;
  job.id = 9;
  job.owner = 5;
  job.kind = "job";
  job.subject = job.state = "";
  job.restarts = 0;
  job.handled = 0;
  job.oldest = 3210ms;
  job.own_thread = true;
  job.lasts = false;
  auto domain = root;
  domain.id = 6;
  domain.owner = 2;
  domain.kind = "domain";
  domain.subject = "w\xc3\xa4rter (3)";
  domain.waiting = 4;
  domain.oldest = 1500ms;
  domain.answers = false;
  return {root, device, domain, job};
}

} // namespace

TEST_CASE("the actors as JSON have all that is known, with null for what is not") {
  const auto line = actors::control::looked_at("1", some_actors(), {{4711, "guest-3", 'S', 1234ms}});
  CHECK(line.find(R"({"jsonrpc":"2.0","id":1,"result":{"actors":[{"id":2,"owner":null,"kind":"root","subject":"",)"
                  R"("state":"","answers":true,"waiting":0,"handled":31,"restarts":0,"oldest_ms":null,)"
                  R"("own_thread":false},{"id":5,"owner":2,"kind":"device","subject":"0000:03:00.0",)"
                  R"("state":"scrubbing","answers":true,"waiting":0,"handled":31,"restarts":1,)") == 0);
  CHECK(line.find(R"("answers":false,"waiting":4,"handled":31,"restarts":0,"oldest_ms":1500)") != std::string::npos);
  CHECK(line.find(R"("threads":[{"id":4711,"name":"guest-3","state":"S","processor_ms":1234}]}})") !=
        std::string::npos);
}

TEST_CASE("the tree has each actor below the one that started it") {
  const auto result = result_of(actors::control::looked_at("1", some_actors(), {{4711, "guest-3", 'S', 1234ms}}));
  REQUIRE(result.has_value());
  CHECK(*actors_tree(*result, true) ==
        "Actor                   State            Waiting  Handled  Restarts  Oldest work  Thread\n"
        "root                    -                0        31       0         -            shared\n"
        "├─ device 0000:03:00.0  scrubbing        0        31       1         -            shared\n"
        "│  └─ job               -                0        0        0         3.2 s        own\n"
        "└─ domain wärter (3)    does not answer  4        31       0         1.5 s        shared\n"
        "\n"
        "Thread  Name     State  Processor\n"
        "4711    guest-3  S      1.2 s\n");
  const auto plain = *actors_tree(*result, false);
  CHECK(plain.find("\n  device 0000:03:00.0  ") != std::string::npos);
  CHECK(plain.find("\n    job ") != std::string::npos);
}

TEST_CASE("a tree of another form is shown as far as it goes, or refused") {
  for (const auto* odd : {"", "[]", "{}", R"({"actors":3})"}) {
    CAPTURE(odd);
    const auto text = actors_tree(odd, true);
    REQUIRE_FALSE(text.has_value());
    CHECK(text.error().error == EPROTO);
  }
  // What owns itself, each other or somebody who has ended: no way round for ever.
  CHECK(actors_tree(R"({"actors":[{"id":1,"owner":1,"kind":"a"},{"id":2,"owner":3,"kind":"b"},)"
                    R"({"id":3,"owner":2,"kind":"c"},{"id":4,"owner":99,"kind":"d"},3,{"kind":[]}]})",
                    false)
            ->find("\nd ") != std::string::npos);
}

TEST_CASE("an event is a line, for people and as JSON") {
  actors::event what{actors::happening::leased, pci::make_sbdf(0, 3, 0, 0), messages::domain_id{3}, "web (3)", "", {}};
  what.when = std::chrono::system_clock::time_point{1'700'000'000'123ms};
  auto line = actors::control::told(what);
  CHECK(line == R"j({"jsonrpc":"2.0","method":"event","params":{"time":"2023-11-14T22:13:20.123Z","event":"leased",)j"
                R"j("function":"0000:03:00.0","domain":3,"guest":"web (3)","detail":""}})j");
  CHECK(*event_line(line) == "2023-11-14T22:13:20.123Z  leased        0000:03:00.0  web (3)\n");
  CHECK(*event_json(line) == R"j({"time":"2023-11-14T22:13:20.123Z","event":"leased","function":"0000:03:00.0",)j"
                             R"j("domain":3,"guest":"web (3)","detail":""})j"
                             "\n");
  what.guest.clear();
  what.function.reset();
  what.detail = "what a guest\x1b[31m\nsays";
  line = actors::control::told(what);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(*event_line(line) == "2023-11-14T22:13:20.123Z  leased        domain 3  what a guest?[31m?says\n");
  what.detail = "\xff";
  CHECK(event_line(actors::control::told(what)).has_value());
}

TEST_CASE("what was lost is told") {
  CHECK(*event_line(actors::control::told_of_loss(17)) ==
        "17 events were lost: this program did not read them in time\n");
  CHECK(*event_json(actors::control::told_of_loss(17)) == "{\"event\":\"lost\",\"count\":17}\n");
}

TEST_CASE("what is no event, or no metrics, is a failure") {
  for (const auto* odd : {"", "3", "[]", "{}", R"({"params":3})", R"({"params":{}})"}) {
    CAPTURE(odd);
    CHECK(event_line(odd).error().error == EPROTO);
    CHECK(event_json(odd).error().error == EPROTO);
    CHECK(metrics_of_result(odd).error().error == EPROTO);
  }
  CHECK(*event_line(R"({"params":{"event":3,"function":[]}})") != "");
  CHECK(*metrics_of_result(*result_of(actors::control::measured("1", "a\nb \"c\"\n"))) == "a\nb \"c\"\n");
}
