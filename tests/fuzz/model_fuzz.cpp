// SPDX-License-Identifier: GPL-2.0-or-later
// Any card, any policy, any sequence of operations, of looks of the daemon and of the card's own moods. A simple model
// (model/) says beforehand what each operation writes into the guest's page, what it does to the card and to Xen, in
// which order, and what the daemon keeps of it; both are held against each other after each.
#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "fuzz/model/blueprint.hpp"
#include "fuzz/model/hardware.hpp"
#include "fuzz/model/operations.hpp"
#include "fuzz/model/predicted_interrupts.hpp"
#include "fuzz/model/predicted_space.hpp"
#include "fuzz/model/tested.hpp"
#include "pci/config_space/multifunction.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/space.hpp"
#include "pci/protocol/shared_page.hpp"

namespace {

using fuzz::require;

using page_bytes = std::array<std::uint8_t, pci::wire::page_size>;

fuzz::account modelled{"modelled operations"};

class trial {
public:
  trial(const model::blueprint& plan, const pci::function& function, const pci::policy& policy, pci::space space,
        bool multifunction)
      : plan_(plan), policy_(policy), multifunction_(multifunction), real_(plan, function, policy, std::move(space)),
        twin_(plan), space_(plan, policy, twin_), interrupts_(plan, twin_) {}

  void step(fuzz::input& in) {
    real_.cards.deeds.clear();
    twin_.deeds.clear();
    const auto choice = in.byte();
    if (choice >= 0xe0)
      happen(in, choice & 0x1f);
    else
      operate(in, choice);
    compare();
  }

private:
  // -- the guest

  void operate(fuzz::input& in, unsigned choice) {
    pci::wire::operation op{};
    std::memcpy(&op, page_.data() + 4, sizeof op);
    model::draw_operation(in, choice, plan_, space_, op);
    const std::uint32_t flags = 1U | (in.byte() & 0x02U);
    std::memcpy(page_.data(), &flags, 4);
    std::memcpy(page_.data() + 4, &op, sizeof op);

    pci::shared_page shared{page_.data()};
    const auto taken = shared.take();
    pci::answer given{pci::op_error::dev_not_found, taken.what.value, {}};
    if (taken.key.domain == 0 && taken.key.bus == 0 && taken.key.devfn == 0)
      given = real_.operate(taken.what);
    if (op.cmd == 0 && given.error == pci::op_error::success)
      given.value = pci::with_multifunction(given.value, taken.what.offset, taken.what.size, multifunction_);

    const bool late = meddle(in);
    auto expected = page_;
    if (!late)
      predict(op, expected);
    else
      static_cast<void>(carry_out(op));
    require(shared.publish(taken.key, given) != late, "an answer is given unless the guest has given up");
    require(page_ == expected, "the page has what the model says");
    modelled.add();
  }

  /// The guest may write its page at any time. True: what it has there is not what was asked any more.
  bool meddle(fuzz::input& in) {
    const auto choice = in.byte();
    if (choice < 0xf0)
      return false;
    if (choice < 0xf4) {
      page_[0] &= 0xfe;
      return true;
    }
    const auto bit = static_cast<std::uint8_t>(1U << in.below(8));
    if (choice < 0xfa) { // cmd, and from domain to value: err and info are nobody's
      const auto at = in.below(28);
      page_.at(at < 4 ? 4 + at : 8 + at) ^= bit;
      return true;
    }
    page_.at(600 + in.byte()) ^= bit;
    return false;
  }

  // -- the model's half

  model::predicted_interrupts::outcome carry_out(const pci::wire::operation& op) {
    if (op.domain != 0 || op.bus != 0 || op.devfn != 0)
      return {model::not_found, op.value, {}};
    if (op.cmd <= 1) {
      const auto got = op.cmd == 0 ? space_.read(op.offset, op.size) : space_.write(op.offset, op.size, op.value);
      return {got.error, op.cmd == 0 && got.error == 0 ? with_topology(got.value, op) : got.value, {}};
    }
    model::predicted_interrupts::outcome given{model::unknown_operation, op.value, {}};
    if (op.cmd == 2)
      given = interrupts_.enable_msi(policy_.msi);
    if (op.cmd == 3 || op.cmd == 5)
      given = interrupts_.disable();
    if (op.cmd == 4) {
      std::vector<std::uint16_t> entries;
      for (unsigned i = 0; i < std::min(op.value, 128U); ++i)
        entries.push_back(op.msix_entries.at(i).entry);
      given = interrupts_.enable_msix(op.value, entries, policy_.msix);
    }
    space_.on = interrupts_.on;
    return given;
  }

  /// The multi-function bit is the virtual bus's, but of a card that is not there.
  [[nodiscard]] std::uint32_t with_topology(std::uint32_t value, const pci::wire::operation& op) const {
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &value, 4);
    if (op.offset <= 0x0e && 0x0e < op.offset + op.size)
      if (auto& type = bytes.at(static_cast<std::size_t>(0x0e - op.offset)); type != 0xff)
        type = static_cast<std::uint8_t>((type & 0x7f) | (multifunction_ ? 0x80 : 0));
    std::memcpy(&value, bytes.data(), 4);
    return value;
  }

  void predict(const pci::wire::operation& op, page_bytes& page) {
    const auto given = carry_out(op);
    page[0] &= 0xfe;
    std::memcpy(page.data() + 8, &given.error, 4);
    std::memcpy(page.data() + 32, &given.value, 4);
    for (std::size_t i = 0; i < given.pirqs.size(); ++i)
      std::memcpy(page.data() + 40 + 4 * i, &given.pirqs[i], 2);
  }

  // -- the card, Xen and the daemon

  void both(const std::function<void(model::hardware&)>& what) {
    what(real_.cards);
    what(twin_);
  }

  void happen(fuzz::input& in, unsigned choice) {
    if (choice < 8) {
      const auto how = static_cast<model::manner>(choice < model::manners ? choice : 0);
      both([&](model::hardware& each) { each.how = how; });
    } else if (choice < 14) {
      change_register(in);
    } else if (choice < 19) {
      change_xen(in, choice);
    } else {
      look_after(in, choice);
    }
  }

  void change_register(fuzz::input& in) {
    const auto at = in.once_in(4) ? 4 + in.below(4) : in.take<std::uint16_t>() % static_cast<unsigned>(plan_.size());
    const auto value = in.byte();
    both([&](model::hardware& each) { each.set(at, 1, value); });
  }

  void change_xen(fuzz::input& in, unsigned choice) {
    constexpr std::array<int, 4> errors{0, ESRCH, EINVAL, EBUSY};
    const unsigned left = choice == 14 ? in.below(8) : 0xffffffff;
    const int error = choice == 15 ? errors.at(in.below(4)) : 0;
    both([&](model::hardware& each) {
      each.maps_left = left;
      each.unmap_error = error;
      each.next_is_zero = choice == 16;
    });
  }

  void look_after(fuzz::input& in, unsigned choice) {
    if (choice < 22) { // the next guest
      real_.end();
      interrupts_.end();
      space_.on = interrupts_.on;
      choose_policy(in);
      real_.space.reset(policy_);
      space_.reset(policy_);
    } else if (choice < 25) {
      choose_policy(in);
      real_.space.set_policy(policy_);
      space_.set_policy(policy_);
    } else if (choice < 28) {
      require(real_.prepare() == (space_.prepare() == 0), "a card is prepared, or is not");
    } else {
      both([](model::hardware& each) { each.set(pci::reg::command, 2, 0); }); // as a reset leaves it
      require(real_.renew_command() == (space_.renew_command() == 0), "COMMAND is renewed, or is not");
    }
  }

  /// Which capabilities a guest is shown is settled when the card is held.
  void choose_policy(fuzz::input& in) {
    auto next = model::draw_policy(in, plan_);
    next.msi = policy_.msi;
    next.msix = policy_.msix;
    policy_ = next;
    real_.use(policy_);
  }

  void compare() const {
    require(real_.cards.same(twin_), "the card and Xen are told what the model says, in its order");
    const auto& state = real_.space.state();
    require(state.command == space_.command && state.decoding == space_.decoding && state.sizing == space_.sizing &&
                state.dropped.count == space_.dropped,
            "what is kept of a guest is what the model says");
    require(static_cast<unsigned>(real_.interrupts.mode()) == static_cast<unsigned>(interrupts_.on),
            "those interrupts are on that the model says");
    const auto vectors = real_.interrupts.vectors();
    require(std::ranges::equal(vectors, interrupts_.vectors,
                               [](const pci::bound_vector& one, const model::predicted_interrupts::vector& other) {
                                 return one.entry == other.entry && one.pirq == other.pirq;
                               }),
            "the vectors are those that the model says");
  }

  const model::blueprint& plan_;
  pci::policy policy_;
  bool multifunction_;
  model::tested real_;
  model::hardware twin_;
  model::predicted_space space_;
  model::predicted_interrupts interrupts_;
  alignas(8) page_bytes page_{};
};

/// Operations that the bytes do not give are made up from them, so that each card lives long enough to get somewhere.
std::array<std::uint8_t, 2048> more_than(std::span<const std::uint8_t> bytes) {
  std::uint32_t state = 0x811c9dc5;
  for (const auto each : bytes)
    state = (state ^ each) * 0x01000193;
  std::array<std::uint8_t, 2048> made{};
  for (auto& each : made) {
    state = state * 1664525U + 1013904223U;
    each = static_cast<std::uint8_t>(state >> 24);
  }
  return made;
}

} // namespace

// The first byte: how many operations are made up.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in{{data, size}};
  const unsigned made_up = in.byte();
  const auto plan = model::draw(in);
  const auto policy = model::draw_policy(in, plan);
  const auto function = model::describe(plan);
  auto space = pci::space::build(function, policy);
  require(space.has_value(), "a card with a header of type 0 or 1 is a card");
  trial one{plan, function, policy, std::move(*space), in.flag()};
  for (unsigned steps = 0; steps < 2048 && !in.empty(); ++steps)
    one.step(in);
  const auto rest = more_than({data, size});
  fuzz::input more{rest};
  for (unsigned steps = 0; steps < made_up && !more.empty(); ++steps)
    one.step(more);
  return 0;
}
