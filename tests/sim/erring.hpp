// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>

#include "pci/protocol/aer.hpp"
#include "two_cards.hpp"

/// Guests whose functions report errors.
namespace test {

inline constexpr std::int32_t none = 1, can_recover = 2, need_reset = 3, disconnect = 4, recovered = 5,
                              no_aer_driver = 6;
inline constexpr std::uint32_t detected = 6, resume = 7, mmio = 8, slot_reset = 9;
using answers = std::map<std::uint32_t, std::optional<std::int32_t>>;

inline actors::settings with_policy(pci::error_policy policy) {
  actors::settings settings;
  settings.own(nic).policy.aer = policy;
  settings.own(disk).policy.aer = policy;
  return settings;
}

/// A guest whose driver uses the network card with three vectors, and another guest with the disk.
struct erring : two_cards {
  explicit erring(actors::settings settings = {}) : two_cards(std::move(settings)) {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
    domain = boot("guest", {nic});
    guest = std::make_unique<platform::sim::frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    card.emplace(*guest, first_slot);
    REQUIRE(card->probe(3));
    other_domain = boot("other", {disk});
    other = std::make_unique<platform::sim::frontend>(host, other_domain, *this);
    REQUIRE(other->connect());
  }
  /// What the guest's platform::sim::driver answers to each request; one that is not named is resume's.
  void answer(answers with) {
    guest->handle_aer([this, with = std::move(with)](const pci::wire::aer_operation& request) {
      requests.push_back(request);
      const auto found = with.find(request.cmd);
      return found == with.end() ? std::optional(none) : found->second;
    });
  }
  /// Everything that happens without time passing.
  void settle() {
    for (bool more = true; more;) {
      run();
      more = guest->service();
    }
    run();
  }
  void inject(pci::error_severity severity) {
    host.inject_error(nic, severity);
    settle();
  }
  std::vector<std::uint32_t> asked() const { return guest->aer_requests(); }
  messages::error_account account(const pci::sbdf& address = nic) { return function(address).errors; }
  bool stopped(domain_id which) {
    const auto info = host.xen().domain(which);
    return info && info->shutdown;
  }
  /// The function is as the guest had it, and its interrupts come.
  void check_works() {
    CHECK(guest->read(first_slot, 0, 2).value == guest->functions().front().vendor);
    CHECK(masters(nic));
    CHECK(hardware(nic, 4, 2) == 0x0407); // decoding, mastering, INTx off because of the vectors
    CHECK(hardware(nic, 0x10, 4) == guest->functions().front().bars[0]);
    CHECK(msix_on(nic));
    CHECK_FALSE(host.xen().facts(nic)->poisoned);
    const auto before = card->interrupts();
    for (std::uint16_t entry = 0; entry < 3; ++entry) {
      CHECK(host.xen().raise(nic, entry));
    }
    CHECK(card->interrupts() == before + 3);
    CHECK_FALSE(stopped(domain));
    CHECK((guest->flags() & pci::wire::backend_active) == 0);
    CHECK(backend(domain, "aerState").empty());
  }
  void check_stopped() {
    CHECK(stopped(domain));
    CHECK(backend(domain, "aerState") == "aerfail");
    CHECK(account().failed == 1);
    CHECK(account().recovered == 0);
    CHECK_FALSE(stopped(other_domain));
    CHECK((guest->flags() & pci::wire::backend_active) == 0);
    host.toolstack_destroy(domain); // on_crash="destroy"
    run();
    check_clean(nic);
    check_forgotten(domain);
  }

  std::vector<pci::wire::aer_operation> requests;
  domain_id domain = 0, other_domain = 0;
  std::unique_ptr<platform::sim::frontend> guest, other;
  std::optional<platform::sim::driver> card;
};

struct erring_with_detach : erring {
  erring_with_detach() : erring(with_policy(pci::error_policy::detach)) {}
};
struct erring_with_log : erring {
  erring_with_log() : erring(with_policy(pci::error_policy::log)) {}
};

using asked_steps = std::vector<std::uint32_t>;

} // namespace test
