// SPDX-License-Identifier: GPL-2.0-or-later
// How a function is taken from a guest: the guest first, the hardware last.
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/root/attachment.hpp"
#include "actors/xenstore/guest_kind.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

// The kernel gives a function a minute to come back from its reset.
constexpr auto reset_patience = 90s;

} // namespace

caf::result<void> attachment_state::detach(messages::domain_id domain, const pci::sbdf& address) {
  self_->seen().is("detachment", fmt::format("{} from domain {}", pci::to_string(address), domain));
  return begin(domain, address, all_->configuration->frontend_patience + toolstack_patience,
               &attachment_state::begin_taking);
}

caf::result<void> attachment_state::drain(messages::domain_id domain, const pci::sbdf& address) {
  forced_ = true;
  self_->seen().is("detachment", fmt::format("{} from domain {}", pci::to_string(address), domain));
  return begin(domain, address, all_->configuration->frontend_patience + drain_margin, &attachment_state::begin_taking);
}

void attachment_state::begin_taking() { ask_frontend(&attachment_state::begin_removal); }

void attachment_state::begin_removal() {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, address = address_, forced = forced_, plug = plug_] {
        auto possible =
            forced ? pci::result<void>{} : check_needs_no_device_model(all->host, domain, "pci-detach", address);
        return possible ? actors::begin_removal(all->host.xenstore(), domain, address, plug) : possible;
      },
      [this](const pci::result<void>& begun) {
        if (begun) {
          return look_at_removal();
        }
        if (is_overtaken(begun)) {
          return again(&attachment_state::begin_taking);
        }
        forced_ ? take_by_force() : fail(begun.error());
      });
}

void attachment_state::look_at_removal() {
  listen();
  run_on<progress>(
      all_->store_worker, self_,
      [all = all_, domain = domain_] { return actors::look_at_removal(all->host.xenstore(), domain); },
      [this](const pci::result<progress>& found) {
        if (!found) {
          return fail(found.error());
        }
        if (*found == progress::done) {
          return removal_agreed();
        }
        if (time_is_over() && forced_) {
          return take_by_force();
        }
        if (time_is_over()) {
          return fail({ETIMEDOUT, fmt::format("domain {} does not let go of {}", domain_, pci::to_string(address_))});
        }
        again_when_changed(&attachment_state::look_at_removal);
      });
}

// The backend takes a function whose nodes are gone, whatever the guest does. One that was granted and that the guest's
// backend has never seen has none.
void attachment_state::take_by_force() {
  spdlog::warn("{} is taken from domain {} by force", pci::to_string(address_), domain_);
  self_->request(device_, caf::infinite, messages::revoke_atom_v, domain_)
      .then([this] { removal_agreed(); }, [this](caf::error&) { removal_agreed(); });
}

// Nobody serves the guest of an earlier instance, so nobody returns a lease: the guest has let go, or had its time.
void attachment_state::take_inherited() {
  self_->request(device_, caf::infinite, messages::revoke_atom_v, domain_)
      .then([this] { wait_until_clean(); }, [this](caf::error&) { again(&attachment_state::wait_until_clean); });
}

void attachment_state::removal_agreed() {
  allow(reset_patience);
  remove_nodes();
}

void attachment_state::remove_nodes() {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, address = address_] {
        return remove_device(all->host.xenstore(), domain, address);
      },
      [this](const pci::result<void>& removed) {
        if (is_overtaken(removed)) {
          return again(&attachment_state::remove_nodes);
        }
        removed ? wait_until_clean() : fail(removed.error());
      });
}

void attachment_state::wait_until_clean() {
  self_->request(device_, caf::infinite, messages::status_atom_v)
      .then(
          [this](const messages::function_status& status) {
            if (status.domain && status.domain != domain_) { // it was clean, and the next guest has it already
              promise_.deliver(caf::unit);
              return self_->quit();
            }
            switch (status.state) {
            case messages::function_state::held:
            case messages::function_state::gone: // pulled out of the host: the guest has let go of it all the same
              promise_.deliver(caf::unit);
              return self_->quit();
            case messages::function_state::inherited:
              return take_inherited();
            case messages::function_state::failed:
              return fail({EIO, fmt::format("{} was taken back, but is {}: {}", pci::to_string(address_),
                                            to_string(status.state), status.detail)});
            default:
              if (time_is_over()) {
                return fail(
                    {ETIMEDOUT, fmt::format("{} is still {}{}{}", pci::to_string(address_), to_string(status.state),
                                            status.detail.empty() ? "" : ": ", status.detail)});
              }
              again(&attachment_state::wait_until_clean);
            }
          },
          [this](caf::error& error) { fail(messages::to_failure(error, "the function's actor ended")); });
}

} // namespace actors
