// SPDX-License-Identifier: GPL-2.0-or-later
// A page that its guest writes between any two accesses of the backend's, between flag and copy, copy and answer: what
// is taken from it is bounded and agrees with itself, and an answer changes nothing but what the protocol says.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "fuzz/support/input.hpp"
#include "fuzz/support/watched_page.hpp"
#include "pci/protocol/aer.hpp"
#include "pci/protocol/shared_page.hpp"

using namespace pci;

namespace {

using fuzz::require;
using page_bytes = std::array<std::uint8_t, wire::page_size>;

fuzz::account operations{"operations on a page that changes"};

constexpr std::size_t flags_at = 0, cmd_at = 4, err_at = 8, value_at = 32, entries_at = 40, aer_at = 552;

/// The guest: writes its page when the input says so, and knows what it has written.
class guest {
public:
  guest(fuzz::input& in, std::uint8_t* page) : in_(in), page_(page) {}

  /// Before it shares the page with anybody.
  void fill() {
    for (auto& each : own_)
      each = 0;
    const auto choice = in_.byte();
    const std::uint32_t cmd = (choice & 0xe0) != 0 ? choice % 11 : in_.take<std::uint32_t>();
    put(flags_at, 0x1U | (in_.byte() & 0x6U));
    put(cmd_at, cmd);
    for (std::size_t at = 12; at < entries_at; at += 4)
      put(at, in_.byte());
    for (std::size_t i = 0; i < in_.byte() % 8U; ++i)
      own_.at(entries_at + in_.take<std::uint16_t>() % 512) = in_.byte();
    std::copy(own_.begin(), own_.end(), page_);
  }
  /// One byte, most often one that is looked at; often one of the command's, the number's or the flag's.
  void meddle(std::uint8_t* page) {
    const auto choice = in_.byte();
    if ((choice & 3) != 0)
      return;
    constexpr std::array<std::size_t, 8> places{flags_at,     cmd_at, err_at,         value_at,
                                                value_at + 1, 12,     entries_at + 2, 24};
    const auto at = (choice & 0x40) != 0 ? in_.take<std::uint16_t>() % own_.size() : places.at(choice >> 2 & 7);
    const auto byte = (choice & 0x80) != 0 ? static_cast<std::uint8_t>(4) : in_.byte();
    page[at] = byte;
    own_.at(at) = byte;
  }
  /// The page as the guest has left it.
  [[nodiscard]] const page_bytes& own() const { return own_; }
  /// It takes note of an answer.
  void accept() { std::copy(page_, page_ + own_.size(), own_.begin()); }

private:
  void put(std::size_t at, std::uint32_t value) { std::memcpy(own_.data() + at, &value, sizeof value); }

  fuzz::input& in_;
  std::uint8_t* page_;
  page_bytes own_{};
};

void check_request(const shared_page::taken& taken) {
  const bool msix = taken.key.cmd == 4;
  require(taken.what.code == taken.key.cmd && taken.what.value == taken.key.value &&
              taken.what.offset == taken.key.offset && taken.what.size == taken.key.size,
          "what is carried out is what is compared again");
  require(taken.what.entries.size() == (msix ? std::min(taken.key.value, wire::max_vectors) : 0),
          "as many entries are taken as the number that was taken says, 128 at most");
}

bool is_answer(std::size_t at, const shared_page::taken& taken, const answer& given) {
  if (at == flags_at || (at >= err_at && at < err_at + 4) || (at >= value_at && at < value_at + 4))
    return true;
  const std::size_t granted = std::min(taken.what.entries.size(), given.vectors.size());
  return taken.key.cmd == 4 && given.error == op_error::success && at >= entries_at && at < entries_at + 4 * granted &&
         at % 4 < 2;
}

/// What is not the guest's doing is an answer to what was taken, or there is none.
void check_answer(const guest& whose, const std::uint8_t* page, const shared_page::taken& taken, const answer& given,
                  bool published) {
  for (std::size_t at = 0; at < wire::page_size; ++at)
    require(page[at] == whose.own()[at] || (published && is_answer(at, taken, given)),
            "nothing is written but the answer");
}

answer draw_answer(fuzz::input& in) {
  answer given{.error = static_cast<op_error>(-static_cast<int>(in.below(6))), .value = in.byte(), .vectors = {}};
  given.vectors.assign(in.byte(), 0x1234);
  return given;
}

void serve(fuzz::input& in, guest& whose, fuzz::watched_page& page) {
  shared_page shared{page.backend()};
  const auto meddle = [&](std::uint8_t* bytes) { whose.meddle(bytes); };
  std::optional<shared_page::taken> taken;
  page.during(meddle, [&] {
    if (shared.active())
      taken = shared.take();
    static_cast<void>(shared.has_aer_handler());
  });
  require(std::equal(whose.own().begin(), whose.own().end(), page.guest()), "a look changes nothing");
  if (!taken)
    return;
  check_request(*taken);
  const answer given = draw_answer(in);
  bool published = false;
  page.during(meddle, [&] { published = shared.publish(taken->key, given); });
  check_answer(whose, page.guest(), *taken, given, published);
  operations.add();
}

/// The second half of the page, where the backend asks.
void ask(fuzz::input& in, guest& whose, fuzz::watched_page& page) {
  aer_page errors{page.backend()};
  const auto code = static_cast<op_code>(6 + in.below(4));
  const sbdf seen{in.take<std::uint16_t>(), in.byte(), in.byte()};
  const auto meddle = [&](std::uint8_t* bytes) { whose.meddle(bytes); };
  page.during(meddle, [&] {
    errors.ask(code, channel_state::frozen, seen);
    if (const auto raw = errors.answer(); raw)
      static_cast<void>(parse_recovery_result(*raw));
    static_cast<void>(errors.holds(code, seen));
    errors.withdraw();
  });
  for (std::size_t at = 0; at < wire::page_size; ++at)
    require(page.guest()[at] == whose.own()[at] || at == flags_at || (at >= aer_at && at < aer_at + 20),
            "a question is asked in its place");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in{{data, size}};
  auto& page = fuzz::watched_page::only();
  guest whose{in, page.guest()};
  for (unsigned turns = 0; turns < 16 && !in.empty(); ++turns) {
    whose.fill();
    serve(in, whose, page);
    whose.accept();
    if (in.once_in(4))
      ask(in, whose, page);
  }
  return 0;
}
