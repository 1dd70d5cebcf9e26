// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <utility>

#include <caf/abstract_actor.hpp>
#include <caf/actor_config.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/look/census.hpp"

namespace actors {

/// An actor that is in the census: what it is sent and what it is done with is counted, without asking it.
template <class Handle>
class watched : public Handle::base {
  using parent = typename Handle::base;
  using enqueued = decltype(std::declval<caf::abstract_actor&>().enqueue(std::declval<caf::mailbox_element_ptr>(),
                                                                         static_cast<caf::execution_unit*>(nullptr)));

public:
  template <class... Arguments>
  explicit watched(caf::actor_config& how, Arguments&&... arguments)
      : parent(how, std::forward<Arguments>(arguments)...),
        pulse_(census::all().enter(this->home_system(), this->id(), how.parent == nullptr ? 0 : how.parent->id(),
                                   (how.flags & caf::abstract_actor::is_detached_flag) != 0)) {}
  ~watched() override { census::all().leave(this->home_system(), *pulse_); }

  [[nodiscard]] pulse& seen() const { return *pulse_; }

  using parent::enqueue;
  enqueued enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) override {
    pulse_->arrived(pulse::now());
    return parent::enqueue(std::move(what), where);
  }

  using parent::consume;
  caf::invoke_message_result consume(caf::mailbox_element& what) override {
    const in_hand now(*pulse_);
    return parent::consume(what);
  }

  /// It has ended, though somebody may still know of it.
  bool cleanup(caf::error&& why, caf::execution_unit* where) override {
    census::all().leave(this->home_system(), *pulse_);
    return parent::cleanup(std::move(why), where);
  }

private:
  /// From the beginning of a message to its end, an exception included.
  class in_hand {
  public:
    explicit in_hand(pulse& whose) : whose_(whose) { whose_.begins(pulse::now()); }
    in_hand(const in_hand&) = delete;
    in_hand& operator=(const in_hand&) = delete;
    ~in_hand() { whose_.ends(pulse::now()); }

  private:
    pulse& whose_;
  };

  std::shared_ptr<pulse> pulse_;
};

template <class Handle, class State>
using watched_pointer = caf::stateful_actor<State, watched<Handle>>*;

} // namespace actors
