// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/aer.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace pci {
namespace {

// The kernel's own text is shorter; it is kept and shown, so it is bounded.
constexpr std::size_t longest_status = 160;

static_assert(static_cast<std::uint32_t>(op_code::aer_detected) == 6);
static_assert(static_cast<std::uint32_t>(op_code::aer_resume) == 7);
static_assert(static_cast<std::uint32_t>(op_code::aer_mmio) == 8);
static_assert(static_cast<std::uint32_t>(op_code::aer_slotreset) == 9);

using kind = recovery_step::kind;

} // namespace

std::string_view to_string(error_severity severity) {
  switch (severity) {
  case error_severity::corrected:
    return "corrected";
  case error_severity::nonfatal:
    return "non-fatal";
  case error_severity::fatal:
    return "fatal";
  }
  return "unknown";
}

void error_tally::add(error_severity severity, std::string_view status) {
  ++(severity == error_severity::corrected ? corrected : severity == error_severity::nonfatal ? nonfatal : fatal);
  last = status.substr(0, longest_status);
}

void error_tally::add(const error_tally& more) {
  corrected += more.corrected;
  nonfatal += more.nonfatal;
  fatal += more.fatal;
  host_ended = host_ended || more.host_ended;
  if (more.corrected != 0 || more.uncorrected())
    last = more.last;
}

std::string_view to_string(channel_state state) {
  switch (state) {
  case channel_state::normal:
    return "normal";
  case channel_state::frozen:
    return "frozen";
  case channel_state::perm_failure:
    return "permanent failure";
  }
  return "unknown";
}

std::optional<recovery_result> parse_recovery_result(std::int32_t raw) {
  constexpr auto first = static_cast<std::int32_t>(recovery_result::none);
  constexpr auto last = static_cast<std::int32_t>(recovery_result::no_aer_driver);
  return raw < first || raw > last ? std::nullopt : std::optional(static_cast<recovery_result>(raw));
}

std::string_view to_string(recovery_failure why) {
  switch (why) {
  case recovery_failure::no_handler:
    return "its frontend handles no errors";
  case recovery_failure::no_driver:
    return "its driver handles no errors";
  case recovery_failure::disconnect:
    return "its driver gave the function up";
  case recovery_failure::nonsense:
    return "its answer makes no sense";
  case recovery_failure::no_answer:
    return "it did not answer in time";
  case recovery_failure::not_restorable:
    return "the hardware does not come back";
  case recovery_failure::relapse:
    return "errors came faster than it recovered";
  }
  return "unknown";
}

// -- the page

aer_page::aer_page(void* page) : info_(static_cast<wire::shared_info*>(page)) {}

void aer_page::ask(op_code what, channel_state state, const sbdf& virtual_address) {
  auto& request = info_->aer_op;
  request.cmd = static_cast<std::uint32_t>(what);
  request.err = static_cast<std::int32_t>(state);
  request.domain = virtual_address.segment;
  request.bus = virtual_address.bus;
  request.devfn = virtual_address.devfn;
  // Whoever sees the flag may read the request.
  std::atomic_thread_fence(std::memory_order_release);
  std::atomic_ref{info_->flags}.fetch_or(wire::backend_active, std::memory_order_release);
}

std::optional<std::int32_t> aer_page::answer() const {
  if ((std::atomic_ref{info_->flags}.load(std::memory_order_acquire) & wire::backend_active) != 0)
    return std::nullopt;
  return std::atomic_ref{info_->aer_op.err}.load(std::memory_order_relaxed); // once: the guest may change it
}

bool aer_page::holds(op_code what, const sbdf& virtual_address) const {
  auto& request = info_->aer_op;
  const auto read = [](std::uint32_t& field) { return std::atomic_ref{field}.load(std::memory_order_relaxed); };
  return read(request.cmd) == static_cast<std::uint32_t>(what) && read(request.domain) == virtual_address.segment &&
         read(request.bus) == virtual_address.bus && read(request.devfn) == virtual_address.devfn;
}

void aer_page::withdraw() {
  std::atomic_ref{info_->flags}.fetch_and(~wire::backend_active, std::memory_order_release);
  info_->aer_op.err = static_cast<std::int32_t>(recovery_result::none);
}

// -- the recovery

bool recovery::asking() const {
  return state_ == state::detected || state_ == state::checking || state_ == state::slot_reset ||
         state_ == state::resuming;
}

recovery_step recovery::end(kind how, recovery_failure why) {
  *this = {};
  return {.what = how, .why = why};
}

recovery_step recovery::ask(state asking) {
  state_ = asking;
  return question();
}

/// What the guest is asked in a state in which it is.
recovery_step recovery::question() const {
  const auto request = state_ == state::detected     ? op_code::aer_detected
                       : state_ == state::checking   ? op_code::aer_mmio
                       : state_ == state::slot_reset ? op_code::aer_slotreset
                                                     : op_code::aer_resume;
  return {.what = kind::ask, .request = request, .state = state_ == state::detected ? channel_ : channel_state::normal};
}

/// Whether the recovery that runs mends the error too: nothing has been restored yet, or it is the same news again.
bool recovery::covers(channel_state how) const {
  switch (state_) {
  case state::detected:
    return how <= channel_;
  case state::settling:
    return true;
  case state::restoring:
    return how == channel_state::normal;
  default:
    return false;
  }
}

recovery_step recovery::error(channel_state how, guest who) {
  if (state_ == state::idle)
    return begin(how, who);
  if (covers(how))
    return {};
  again_ = again_ ? std::max(*again_, how) : how;
  return {};
}

recovery_step recovery::begin(channel_state how, guest who) {
  channel_ = how;
  guest_ = who;
  // Nobody in the guest uses the function: it is put in order, and nobody needs to be told.
  if (!who.connected || (!who.in_use && !who.has_handler))
    return restore_then(next::finish);
  if (!who.has_handler)
    return end(kind::failed, recovery_failure::no_handler);
  return ask(state::detected);
}

recovery_step recovery::start_over() {
  if (++restarts_ > restarts)
    return end(kind::failed, recovery_failure::relapse);
  host_ended_ = std::exchange(again_ended_, false);
  return begin(*std::exchange(again_, std::nullopt), guest_);
}

/// After a fatal error the kernel resets the bus, whatever the guest says; what is written before that is lost.
recovery_step recovery::restore_then(next then) {
  next_ = then;
  if (channel_ == channel_state::frozen && !host_ended_) {
    state_ = state::settling;
    return {.what = kind::wait_for_host};
  }
  state_ = state::restoring;
  return {.what = channel_ == channel_state::normal ? kind::reset_and_restore : kind::restore};
}

recovery_step recovery::proceed() {
  switch (next_) {
  case next::check:
    return ask(state::checking);
  case next::slot_reset:
    return ask(state::slot_reset);
  case next::resume:
    return ask(state::resuming);
  case next::finish:
    break;
  }
  return end(kind::recovered);
}

recovery_step recovery::host_ended() {
  if (state_ == state::settling) {
    host_ended_ = true;
    state_ = state::restoring;
    return {.what = kind::restore};
  }
  if (state_ != state::idle)
    (again_ ? again_ended_ : host_ended_) = true;
  return {};
}

recovery_step recovery::answered(std::int32_t raw) {
  if (!asking())
    return {};
  if (again_)
    return start_over();
  if (state_ == state::resuming) // its answer means nothing (spec 8.2)
    return end(kind::recovered);
  const auto result = parse_recovery_result(raw);
  if (!result)
    return end(kind::failed, recovery_failure::nonsense);
  if (*result == recovery_result::disconnect)
    return end(kind::failed, recovery_failure::disconnect);
  if (nobody_has_it(*result))
    return restore_then(next::finish);
  if (*result == recovery_result::none || *result == recovery_result::no_aer_driver)
    return end(kind::failed, recovery_failure::no_driver);
  if (state_ == state::detected)
    return after_detected(*result);
  return after_checking(*result);
}

/// Linux's frontend answers alike where no driver is bound and where one has no handlers. Without a driver no data of
/// anybody's are at stake: the next one starts the function from the beginning.
bool recovery::nobody_has_it(recovery_result answer) const {
  return state_ == state::detected && answer == recovery_result::none && !guest_.in_use;
}

recovery_step recovery::after_detected(recovery_result result) {
  const auto then = result == recovery_result::need_reset    ? next::slot_reset
                    : result == recovery_result::can_recover ? next::check
                                                             : next::resume;
  if (channel_ == channel_state::frozen || result == recovery_result::need_reset)
    return restore_then(then);
  next_ = then;
  return proceed();
}

/// Of mmio_enabled and slot_reset: what is not recovered by now is not recoverable, except that a look at the function
/// may show that it needs a reset.
recovery_step recovery::after_checking(recovery_result result) {
  if (result == recovery_result::recovered)
    return ask(state::resuming);
  if (state_ == state::checking && result == recovery_result::need_reset) {
    channel_ = channel_state::normal; // a reset of the bus is over: this one is the daemon's
    return restore_then(next::slot_reset);
  }
  return end(kind::failed, recovery_failure::nonsense);
}

recovery_step recovery::timed_out() {
  if (asking())
    return end(kind::failed, recovery_failure::no_answer);
  if (state_ != state::settling)
    return {};
  // The kernel has said nothing: either it did nothing, or nobody hears it.
  host_ended_ = true;
  state_ = state::restoring;
  return {.what = kind::reset_and_restore};
}

recovery_step recovery::restored(bool succeeded) {
  if (state_ != state::restoring)
    return {};
  if (again_)
    return start_over();
  return succeeded ? proceed() : end(kind::failed, recovery_failure::not_restorable);
}

bool recovery::is_cut_off() const {
  const bool restored = state_ != state::detected && state_ != state::settling && state_ != state::restoring;
  return (channel_ == channel_state::frozen && !restored) || again_ == channel_state::frozen;
}

recovery_step recovery::disconnected() {
  guest_ = {};
  if (state_ == state::idle)
    return {};
  if (!asking()) { // goes on as it is, and then nobody is asked
    next_ = next::finish;
    return {};
  }
  if (again_)
    return start_over();
  if (state_ != state::detected)
    channel_ = channel_state::normal; // its driver has begun with the function again
  return restore_then(next::finish);
}

} // namespace pci
