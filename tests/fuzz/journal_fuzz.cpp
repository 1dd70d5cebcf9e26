// SPDX-License-Identifier: GPL-2.0-or-later
// Any text for a record of the journal, any words in the word file: what is taken for a record is one, whole; what was
// torn, or written by another version, is refused with the reason; no word is taken for another guest's.
#include <array>
#include <cstring>
#include <memory>

#include "actors/device/reset_memory.hpp"
#include "actors/journal/guest_words.hpp"
#include "actors/journal/record.hpp"
#include "actors/journal/upgrade.hpp"
#include "fuzz/support/input.hpp"

namespace {

using fuzz::require;

fuzz::account records{"records read again"};

bool one_line(const std::string& text) { return !text.empty() && text.find('\n') == std::string::npos; }

/// What was read is written, and read again; cut off anywhere it is no record.
void check_record(const actors::function_record& record, fuzz::input& in) {
  const auto text = actors::to_text(record);
  require(text.find('\n') == text.size() - 1, "a record is one line");
  const auto again = actors::parse_record(text);
  require(again && *again == record && actors::to_text(*again) == text, "what is written is read as it was");
  const auto cut = in.take<std::uint16_t>() % (text.size() - 1);
  require(!actors::parse_record(std::string_view(text).substr(0, cut)), "what is torn is no record");
  const auto kept = actors::fate_of_record(pci::to_string(record.function.address), text);
  require(kept.how == actors::record_fate::kind::kept && kept.what.empty() && kept.domain == record.domain,
          "what this version writes it takes over");
  records.add();
}

void check_text(std::string_view text, fuzz::input& in) {
  const auto record = actors::parse_record(text);
  if (record)
    check_record(*record, in);
  else
    require(record.error().error == EPROTO && one_line(record.error().context), "what is no record is told in a line");
  const auto fate =
      actors::fate_of_record(record ? pci::to_string(record->function.address) : "0000:03:00.0", std::string(text));
  require((fate.how == actors::record_fate::kind::lost) == !record, "what can be read is not lost");
  require(fate.how == actors::record_fate::kind::kept ? fate.what.empty() : one_line(fate.what),
          "what becomes of a record is told in a line");
}

class words final : public platform::lasting_words {
public:
  platform::lasting_words::words all() override { return platform::lasting_words::words{*values_}; }

private:
  std::unique_ptr<std::array<std::atomic<std::uint64_t>, count>> values_ =
      std::make_unique<std::array<std::atomic<std::uint64_t>, count>>();
};

void check_recovery(const actors::saved_recovery& found, std::uint16_t domain) {
  const auto again = actors::saved_recovery::from(found.word(domain), domain);
  require(again && again->machine.saved() == found.machine.saved() && again->policy == found.policy &&
              again->asked == found.asked,
          "a recovery goes on as it was");
  const auto other = static_cast<std::uint16_t>(domain ^ 1U);
  require(!actors::saved_recovery::from(found.word(domain), other), "a recovery is its guest's alone");
  require(found.machine.repeated() == again->machine.repeated(), "what is done once more is the same");
}

/// A daemon finds a file that another left, of whatever version: each row is a function's, its words are anything.
void check_words(fuzz::input& in) {
  constexpr std::uint64_t address_form = 0xa1;
  const auto where = std::make_shared<words>();
  for (unsigned left = in.below(12); left > 0; --left) {
    const std::uint64_t bus = in.below(16);
    where->all()[4 * bus] = address_form << 56 | bus << 8;
    const auto form = in.once_in(4) ? 0 : address_form + in.below(3);
    where->all()[4 * bus + 1 + in.below(3)] = form << 56 | in.take<std::uint64_t>() >> 8;
  }
  actors::guest_words all(where);
  const pci::sbdf address{0, static_cast<std::uint8_t>(in.below(16)), static_cast<std::uint8_t>(in.below(2))};
  auto row = all.of(address);
  const auto domain = in.take<std::uint16_t>();
  static_cast<void>(row.state_of(domain));
  if (const auto found = row.recovery_of(domain))
    check_recovery(*found, domain);
  pci::guest_state state;
  state.command = in.take<std::uint16_t>();
  state.sizing = in.byte();
  state.decoding = in.flag();
  row.keep(domain, state);
  require(all.of(address).state_of(domain) == state, "a guest's state is there for the next daemon");
  require(!all.of(address).state_of(static_cast<std::uint16_t>(domain ^ 1U)), "and for that guest alone");
  row.forget_recovery();
  require(!row.recovery_of(domain), "a recovery that is over is over");
  all.forget(address);
  require(!all.of(address).state_of(domain), "who has left is forgotten");
}

void check_resets(std::string_view text) {
  auto kept = std::make_shared<platform::memory_records>();
  static_cast<void>(kept->write("resets", "boot\n" + std::string(text)));
  pci::function card;
  card.vendor = 0x8086;
  card.device = 0x10d3;
  {
    actors::reset_memory memory(kept, "boot");
    static_cast<void>(memory.is_fatal(card, pci::reset_method::flr));
    memory.note_fatal(card, pci::reset_method::bus);
  }
  require(actors::reset_memory(kept, "boot").is_fatal(card, pci::reset_method::bus) ||
              std::ranges::count(text, '\n') >= 200,
          "a method that kills is known to the next daemon");
  require(!actors::reset_memory(kept, "another boot").is_fatal(card, pci::reset_method::bus), "of this boot");
}

} // namespace

// "r" and the text of a record, "w" and bytes for words, "m" and lines of the reset memory.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  fuzz::input in{{data, size}};
  const auto what = in.byte();
  if (what == 'w')
    check_words(in);
  else if (what == 'm')
    check_resets(text.substr(1));
  else
    check_text(text.substr(std::min<std::size_t>(size, 1)), in);
  return 0;
}
