// SPDX-License-Identifier: GPL-2.0-or-later
// Any text for the output of `lspci -xxxx`: it is refused in one line, or it is a card, which is held, given to a guest
// that reads all of it and writes where it likes, and made clean again.
#include <algorithm>
#include <cstring>
#include <string>

#include "fuzz/support/input.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/decode.hpp"
#include "pci/config_space/register_names.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"
#include "pci/config_space/saved_registers.hpp"
#include "pci/config_space/snapshot.hpp"
#include "pci/config_space/space.hpp"
#include "pci/config_space/usable.hpp"
#include "pci/errata.hpp"
#include "pci/frames.hpp"
#include "pci/selector.hpp"
#include "platform/sim/lspci.hpp"

namespace {

using fuzz::require;

fuzz::account plays{"cards played"};

/// The simulated card's registers, and pirqs without end.
class slot final : public pci::config_port, public pci::pirq_port {
public:
  explicit slot(platform::sim::device& card) : card_(card) {}
  pci::result<std::uint32_t> read(std::uint16_t offset, unsigned width) override {
    check(offset, width);
    return card_.read(offset, width);
  }
  pci::result<void> write(std::uint16_t offset, unsigned width, std::uint32_t value) override {
    check(offset, width);
    require(value <= pci::all_bits(width), "a value fits the register");
    card_.write(offset, width, value);
    return {};
  }
  pci::result<std::uint16_t> map_msi() override { return ++pirq_; }
  pci::result<std::uint16_t> map_msix(std::uint16_t, std::uint64_t) override { return ++pirq_; }
  pci::result<void> unmap(std::uint16_t) override { return {}; }

private:
  void check(unsigned offset, unsigned width) const {
    require((width == 1 || width == 2 || width == 4) && offset % width == 0 && offset + width <= card_.config_size(),
            "the hardware is accessed within its space, aligned");
  }
  platform::sim::device& card_;
  std::uint16_t pirq_ = 0;
};

pci::function describe(const platform::sim::device& card) {
  const auto& model = card.model();
  pci::function what;
  what.address = model.address;
  what.vendor = model.vendor;
  what.device = model.device;
  what.resources = model.resources;
  what.irq = model.irq;
  what.physical_function = model.physical_function;
  what.bridges = model.bridges;
  what.config.resize(card.config_size());
  for (std::size_t i = 0; i < what.config.size(); ++i)
    what.config[i] = static_cast<std::byte>(card.read(i, 1));
  what.class_code = what.copy(pci::reg::class_revision, 4) >> 8;
  return what;
}

/// All that is said of a card in words.
void tell(const pci::function& what) {
  const auto blocks = pci::decode(what, what.config);
  for (const auto& each : blocks)
    for (const auto& one : each.registers)
      require(one.size != 0 && !one.name.empty(), "a register that is told of has a size and a name");
  require(pci::untold_words(blocks, what.config_size()).size() <= what.config_size() / 4, "a word is untold once");
  for (std::size_t at = 0; at < what.config_size(); at += 4)
    static_cast<void>(pci::register_name(what, static_cast<std::uint16_t>(at)));
  for (const auto& each : pci::list_capabilities(what))
    require(!pci::capability_name(each.id).empty(), "a capability has a name");
  static_cast<void>(pci::serial_number(what));
  static_cast<void>(pci::subsystem(what));
  static_cast<void>(pci::known_errata(pci::identity_of(what), {}));
  for (const auto& each : pci::msix_frames(what))
    require(each.count != 0, "pages that there are");
}

class guest {
public:
  guest(pci::space& space, pci::message_interrupts& interrupts, slot& port, std::uint32_t seed)
      : space_(space), interrupts_(interrupts), port_(port), seed_(seed) {}

  /// Each byte, and what is composed of them.
  void scan() {
    const auto size = static_cast<std::int32_t>(space_.size());
    for (std::int32_t at = 0; at < size; at += 4) {
      std::uint32_t composed = 0;
      for (std::int32_t i = 0; i < 4; ++i)
        composed |= read(at + i, 1) << (8 * i);
      require(read(at, 4) == composed && (read(at, 2) | read(at + 2, 2) << 16) == composed,
              "a register reads the same in every width");
    }
    for (const auto& [at, width] : {std::pair{size, 4}, {size - 2, 4}, {-4, 4}, {1, 2}})
      require(space_.read(port_, at, width).error == pci::op_error::invalid_offset,
              "beyond the space there is nothing");
  }

  /// The registers of the list that it is shown lead to an end.
  void follow_list() {
    unsigned steps = 0;
    for (auto at = read(pci::reg::capabilities, 1); at != 0; at = read(static_cast<std::int32_t>(at) + 1, 1)) {
      require(at >= pci::reg::first_capability && at % 4 == 0 && ++steps <= 48, "a guest's list ends");
      if (at > 0xfc)
        return;
    }
  }

  void write_at_random(unsigned count) {
    for (; count > 0; --count) {
      const auto width = std::int32_t{1} << next() % 3;
      const auto offset = static_cast<std::int32_t>(next() % space_.size()) / width * width;
      const auto value = next() % 4 == 0 ? 0xffffffff : next();
      static_cast<void>(space_.write(port_, offset, width, value));
      if (next() % 16 == 0)
        switch_messages();
    }
  }

private:
  std::uint32_t read(std::int32_t offset, std::int32_t size) {
    const auto got = space_.read(port_, offset, size);
    require(got.error == pci::op_error::success, "what is in the space can be read");
    return got.value;
  }
  std::uint32_t next() {
    seed_ = seed_ * 1664525U + 1013904223U;
    return seed_ >> 8;
  }
  void switch_messages() {
    pci::request what;
    what.code = 2 + next() % 4;
    what.value = what.code == 4 ? 1 + next() % 3 : 0;
    for (std::uint16_t i = 0; i < what.value; ++i)
      what.entries.push_back(i);
    const auto given = interrupts_.operate(what, {}, true, port_, port_);
    space_.set_interrupt_mode(interrupts_.mode());
    require(what.code % 2 == 0 || given.error == pci::op_error::success, "a disable succeeds");
    require(given.vectors.size() <= what.entries.size(), "no more vectors than were asked for");
  }

  pci::space& space_;
  pci::message_interrupts& interrupts_;
  slot& port_;
  std::uint32_t seed_;
};

/// As between two guests. What the guest has left is not handed on.
void clean(const pci::function& what, pci::space& space, pci::message_interrupts& interrupts, slot& port, bool freely) {
  static_cast<void>(interrupts.end(port, port, true));
  static_cast<void>(pci::wake(what, port));
  static_cast<void>(pci::turn_messages_off(what, port));
  const auto restored = pci::restore(what, port, freely);
  static_cast<void>(space.prepare(port));
  const auto different = pci::compare(what, port);
  if (!restored || !different)
    return;
  require(!pci::describe(what, *different).empty() || different->empty(), "a difference is told");
  const auto quiet = pci::check_quiet(what, port);
  require(quiet.has_value() || !quiet.error().context.empty(), "what is not quiet is named");
}

void play(const platform::sim::device_model& model, std::uint32_t seed, bool freely) {
  platform::sim::device card(model);
  slot port(card);
  auto what = describe(card);
  tell(what);
  if (pci::is_silent(what))
    return;
  pci::make_reference(what);
  auto again = what;
  pci::make_reference(again);
  require(again.config == what.config, "a reference is one already");
  require(!pci::saved_registers(what, freely).empty(), "there is something to save");
  static_cast<void>(pci::wake(what, port));
  pci::policy policy;
  policy.permissive = freely;
  auto space = pci::space::build(what, policy);
  require(space.has_value() == (what.header_layout() <= 1), "a function or a bridge can be shown to a guest");
  if (!space)
    return;
  require(space->prepare(port).has_value(), "a card that answers can be prepared");
  static_cast<void>(pci::restore(what, port));
  pci::message_interrupts interrupts(what);
  guest one(*space, interrupts, port, seed);
  if (!freely) { // the other life sees the same
    one.scan();
    one.follow_list();
    require(pci::guest_view(*space, what.config).size() == space->size(), "a view is as large as the space");
  }
  one.write_at_random(64);
  clean(what, *space, interrupts, port, freely);
  plays.add();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto found = platform::sim::parse_lspci(text);
  if (!found) {
    require(!found.error().context.empty() && found.error().context.find('\n') == std::string::npos,
            "what cannot be read is refused in one line");
    return 0;
  }
  std::uint32_t seed = 0x811c9dc5;
  for (const char each : text.substr(0, 256))
    seed = (seed ^ static_cast<std::uint8_t>(each)) * 0x01000193;
  for (std::size_t i = 0; i < std::min<std::size_t>(found->size(), 4); ++i) {
    const auto& model = (*found)[i].model;
    require(model.config.size() == 256 || model.config.size() == 4096, "a space is of one of two sizes");
    play(model, seed, false);
    play(model, seed, true);
  }
  return 0;
}
