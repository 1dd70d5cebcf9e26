// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/survey.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <set>

#include <fmt/format.h>

#include "actors/control/look.hpp"
#include "actors/domain_ids.hpp"
#include "actors/jobs.hpp"
#include "pci/nearest.hpp"
#include "pci/protocol/xenbus.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

// An administrator looks here when something hangs, xenstored for one: what does not answer is left out.
constexpr auto part_patience = 5s;

bool is_held(const messages::function_status& status) {
  return status.state != messages::function_state::refused && status.state != messages::function_state::gone;
}

/// Runs `work`, which fills what it returns, on the store's thread; gives up on a store that hangs.
template <class T, class Self, class Work, class Done>
void ask_store(const environment& all, Self* self, Work work, Done done) {
  auto slot = std::make_shared<std::optional<T>>();
  messages::job job{[slot, work = std::move(work)]() mutable { slot->emplace(work()); }};
  self->request(all.store_worker, part_patience, messages::run_atom_v, std::move(job))
      .then([slot, done] { done(std::move(*slot)); }, [done](caf::error&) { done(std::optional<T>{}); });
}

} // namespace

void survey_state::open(environment_ptr all, messages::root_actor root) {
  all_ = std::move(all);
  root_ = std::move(root);
}

void survey_state::fail(const pci::failure& why) {
  promise_.deliver(messages::to_error(why));
  self_->quit();
}

caf::result<messages::overview> survey_state::list() {
  promise_ = self_->make_response_promise();
  look({}, [this] {
    promise_.deliver(std::move(view_));
    self_->quit();
  });
  return promise_;
}

caf::result<messages::explanation> survey_state::explain(const pci::sbdf& address) {
  promise_ = self_->make_response_promise();
  look({address}, [this, address] { account_for({address}); });
  return promise_;
}

caf::result<messages::explanation> survey_state::explain(const messages::domain_name& domain) {
  promise_ = self_->make_response_promise();
  look({}, [this, text = domain.text] { explain_guest(text); });
  return promise_;
}

// -- what a list shows

void survey_state::look(const std::vector<pci::sbdf>& at, step then) {
  self_->request(root_, caf::infinite, messages::status_atom_v)
      .then(
          [this, at, then](messages::overview& all) {
            view_ = std::move(all);
            look_at_host(at, then);
          },
          [this](caf::error& error) { fail(messages::to_failure(error, "the daemon is stopping")); });
}

void survey_state::look_at_host(const std::vector<pci::sbdf>& at, step then) {
  auto others = at;
  std::ranges::transform(view_.functions, std::back_inserter(others), &messages::function_status::address);
  run_on_new_thread<control::seen_functions>(
      *all_, self_,
      [all = all_, others]() -> pci::result<control::seen_functions> {
        return control::look_at_functions(all->host, *all->configuration.now(), others);
      },
      [this, then](const pci::result<control::seen_functions>& seen) {
        if (!seen) {
          return fail(seen.error());
        }
        seen_ = *seen;
        look_at_names(then);
      });
}

void survey_state::look_at_names(step then) {
  ask_store<std::vector<guest>>(
      *all_, self_, [all = all_] { return list_guests(all->host.xenstore()); },
      [this, then](std::optional<std::vector<guest>> guests) {
        guests_ = std::move(guests);
        complete();
        then();
      });
}

void survey_state::complete() {
  for (auto& function : view_.functions) {
    function.driver = seen_[function.address].driver;
  }
  for (auto& domain : view_.domains) {
    for (const auto& each : guests_.value_or(std::vector<guest>{})) {
      domain.name = each.domain == domain.domain ? each.names.name : domain.name;
    }
  }
  view_.unmet =
      control::unmet_wishes(*all_->configuration.now(), view_, seen_, guests_, [this](const pci::sbdf& address) {
        const auto all = all_->failures->of(address, all_->host.time().now());
        return all.empty() ? std::string{} : all.back().what;
      });
}

// -- explain

pci::failure survey_state::unknown_guest(const std::string& text) const {
  if (!guests_) {
    return {ETIMEDOUT, "xenstored does not answer, so it is not known which guests there are"};
  }
  std::vector<std::string> names;
  std::ranges::transform(*guests_, std::back_inserter(names), [](const guest& each) { return each.names.name; });
  std::ranges::transform(all_->configuration->assignments, std::back_inserter(names), &settings::assignment::domain);
  const auto near = pci::nearest(text, names);
  return {ESRCH, fmt::format("no guest called \"{}\" runs, and no [[assign]] names it{}", text,
                             !near.empty() ? fmt::format("; did you mean \"{}\"?", near)
                                           : std::string{"; `xl list` shows those that run"})};
}

// Those that it has, and those that it is to have.
std::vector<pci::sbdf> survey_state::functions_of(const std::optional<guest>& who, const std::string& text) const {
  std::set<pci::sbdf> found;
  for (const auto& each : view_.functions) {
    if (who && (each.domain == who->domain || each.target == who->domain)) {
      found.insert(each.address);
    }
  }
  const auto names = who ? who->names : guest_names{.name = text, .uuid = text};
  const auto assigned = assigned_to(*all_->configuration.now(), names);
  found.insert(assigned.begin(), assigned.end());
  return {found.begin(), found.end()};
}

void survey_state::explain_guest(const std::string& text) {
  const auto number = pci::parse_number(text, largest_domain);
  if (number == 0U || text == "Domain-0") {
    return fail(dom0_is_no_guest());
  }
  std::optional<guest> who;
  for (const auto& each : guests_.value_or(std::vector<guest>{})) {
    if (each.domain == number || (!who && is_called(each.names, text))) {
      who = each;
    }
  }
  auto addresses = functions_of(who, text);
  if (!who && addresses.empty()) {
    return fail(unknown_guest(text));
  }
  answer_.asked = who && !who->names.name.empty() ? who->names.name : text;
  if (who) {
    asked_ = who->domain;
    answer_.nearest = control::misspelt_assignment(*all_->configuration.now(), *guests_, who->names);
    answer_.misassigned = assigned_to(*all_->configuration.now(), {.name = answer_.nearest, .uuid = {}});
  }
  account_for(addresses);
}

void survey_state::account_for(const std::vector<pci::sbdf>& addresses) {
  std::vector<std::pair<pci::sbdf, bool>> which;
  for (const auto& address : addresses) {
    const auto status = std::ranges::find(view_.functions, address, &messages::function_status::address);
    which.emplace_back(address, status != view_.functions.end() && is_held(*status));
  }
  run_on_new_thread<std::vector<messages::function_account>>(
      *all_, self_,
      [all = all_, which]() -> pci::result<std::vector<messages::function_account>> {
        std::vector<messages::function_account> found;
        for (const auto& [address, held] : which) {
          found.push_back(
              control::look_at_function(all->host, *all->configuration.now(), *all->journal, address, held));
        }
        return found;
      },
      [this](const pci::result<std::vector<messages::function_account>>& found) {
        if (!found) {
          return fail(found.error());
        }
        answer_.functions = *found;
        for (auto& each : answer_.functions) {
          const auto status = std::ranges::find(view_.functions, each.address, &messages::function_status::address);
          if (status != view_.functions.end()) {
            each.status = *status;
          }
          each.assigned =
              control::assignment_of(*all_->configuration.now(), guests_.value_or(std::vector<guest>{}), each.address);
          each.troubles = all_->failures->of(each.address, all_->host.time().now());
          name_owners(each);
        }
        ask_for_registers();
      });
}

// A guest that has both reaches nothing that it does not have.
void survey_state::name_owners(messages::function_account& function) const {
  const auto is_own = [&function](const std::optional<messages::domain_id>& domain) {
    const auto is = [&domain](const std::optional<messages::domain_id>& own) {
      return domain && own && *domain == *own;
    };
    return function.status && function.status->domain ? is(function.status->domain)
                                                      : function.assigned && is(function.assigned->domain);
  };
  for (auto& mate : function.page_mates) {
    const auto status = std::ranges::find(view_.functions, mate.address, &messages::function_status::address);
    if (status != view_.functions.end() && status->domain && !is_own(status->domain) && !is_own(status->target)) {
      mate.domain = status->domain;
      mate.guest = status->guest.empty() ? fmt::format("domain {}", *status->domain) : status->guest;
    }
  }
}

void survey_state::ask_for_registers() {
  pending_ = 1;
  const auto one_less = [this] {
    if (--pending_ == 0) {
      ask_for_guests();
    }
  };
  for (std::size_t index = 0; index < answer_.functions.size(); ++index) {
    const auto& each = answer_.functions[index];
    if (!each.status || !is_held(*each.status)) {
      continue;
    }
    ++pending_;
    const auto without = [one_less](caf::error&) { one_less(); };
    self_->request(root_, part_patience, messages::find_atom_v, each.address)
        .then(
            [this, index, one_less, without](const messages::device_actor& device) {
              self_->request(device, part_patience, messages::registers_atom_v)
                  .then(
                      [this, index, one_less](const messages::register_account& account) {
                        answer_.functions[index].registers = account;
                        one_less();
                      },
                      without);
            },
            without);
  }
  one_less();
}

void survey_state::ask_for_guests() {
  std::set<messages::domain_id> domains;
  const auto whose = [](const messages::function_account& each) {
    return each.status && each.status->domain ? each.status->domain
           : each.assigned                    ? each.assigned->domain
                                              : std::nullopt;
  };
  for (const auto& each : answer_.functions) {
    if (const auto domain = whose(each)) {
      domains.insert(*domain);
    }
  }
  if (asked_) {
    domains.insert(*asked_);
  }
  using guest_accounts = std::map<messages::domain_id, messages::guest_account>;
  ask_store<guest_accounts>(
      *all_, self_,
      [all = all_, domains, view = view_] {
        guest_accounts found;
        for (const auto domain : domains) {
          found.emplace(domain, control::look_at_guest(all->host, view, domain));
        }
        return found;
      },
      [this, whose](const std::optional<guest_accounts>& found) {
        const auto of = [&](std::optional<messages::domain_id> domain) -> std::optional<messages::guest_account> {
          return domain && found && found->contains(*domain) ? std::optional{found->at(*domain)} : std::nullopt;
        };
        for (auto& each : answer_.functions) {
          each.guest = of(whose(each));
        }
        answer_.guest = of(asked_);
        finish();
      });
}

void survey_state::finish() {
  promise_.deliver(std::move(answer_));
  self_->quit();
}

survey_actor::behavior_type survey(survey_state::self_pointer self, environment_ptr all, messages::root_actor root) {
  behave(self);
  auto* state = &self->state;
  self->monitor(root);
  self->set_down_handler([self](caf::down_msg&) { self->quit(); }); // the daemon stops
  state->open(std::move(all), std::move(root));
  return {
      [state](messages::list_atom) { return state->list(); },
      [state](messages::explain_atom, const pci::sbdf& address) { return state->explain(address); },
      [state](messages::explain_atom, const messages::domain_name& domain) { return state->explain(domain); },
  };
}

} // namespace actors
