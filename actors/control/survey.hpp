// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <caf/response_promise.hpp>

#include "actors/control/wishes.hpp"
#include "actors/environment.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// One question of an administrator's whose answer takes a look at sysfs and xenstore. Lives for that one question, so
/// that nobody waits for a slow look but who asked.
using survey_actor =
    caf::typed_actor<caf::replies_to<messages::list_atom>::with<messages::overview>,
                     caf::replies_to<messages::explain_atom, pci::sbdf>::with<messages::explanation>,
                     caf::replies_to<messages::explain_atom, messages::domain_name>::with<messages::explanation>>;

/// The state of a survey.
class survey_state {
public:
  static inline const char* name = "survey";
  using self_pointer = survey_actor::stateful_pointer<survey_state>;

  explicit survey_state(self_pointer self) : self_(self) {}

  void open(environment_ptr all, messages::root_actor root);
  caf::result<messages::overview> list();
  caf::result<messages::explanation> explain(const pci::sbdf& address);
  /// By name: it may be one that does not run, and that the settings mean.
  caf::result<messages::explanation> explain(const messages::domain_name& domain);

private:
  using step = std::function<void()>;
  void look(const std::vector<pci::sbdf>& at, step then);
  void look_at_host(const std::vector<pci::sbdf>& at, step then);
  void look_at_names(step then);
  void complete();
  void explain_guest(const std::string& text);
  [[nodiscard]] std::vector<pci::sbdf> functions_of(const std::optional<guest>& who, const std::string& text) const;
  [[nodiscard]] pci::failure unknown_guest(const std::string& text) const;
  void account_for(const std::vector<pci::sbdf>& addresses);
  void name_owners(messages::function_account& function) const;
  void ask_for_registers();
  void ask_for_guests();
  void finish();
  void fail(const pci::failure& why);

  self_pointer self_;
  environment_ptr all_;
  messages::root_actor root_;
  caf::response_promise promise_;
  messages::overview view_;
  control::seen_functions seen_;
  std::optional<std::vector<guest>> guests_; ///< empty: xenstore does not answer
  messages::explanation answer_;
  std::optional<messages::domain_id> asked_; ///< the guest that was asked for, and runs
  std::size_t pending_ = 0;                  ///< registers that are asked for
};

survey_actor::behavior_type survey(survey_state::self_pointer self, environment_ptr all, messages::root_actor root);

} // namespace actors
