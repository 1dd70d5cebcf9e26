// SPDX-License-Identifier: GPL-2.0-or-later
// The table of a function's life. docs/architecture.md has it in words; its test says how that is brought up to date.
#include "pci/protocol/function_life.hpp"

namespace pci {
namespace {
namespace of_life {

using life = function_life;
using enum life::phase;
using enum life::presence;
using e = life::event;
using f = life::effect;

using phase_set = set_of<life::phase>;
using event_set = set_of<e>;
using presence_set = set_of<life::presence>;

constexpr presence_set always{there, going, went, lost};
constexpr presence_set here{there, going};
constexpr presence_set removing{going, went};
constexpr presence_set removed{went, lost};
constexpr presence_set not_there{going, went, lost};

constexpr std::nullopt_t stays = std::nullopt;
constexpr phase_set over{stopped, ended};
constexpr phase_set away{gone, gone_busy, stranded, stranded_busy};
constexpr phase_set busy{taking,         reclaiming,         held_preparing,      granting,      granted_preparing,
                         leasing,        resetting,          ending_reset,        awaiting_page, scrubbing,
                         awaiting_pirqs, failed_preparing,   ending_inherited,    letting_go,    withdrawing,
                         giving_back,    giving_back_failed, giving_back_untaken, gone_busy,     stranded_busy};
constexpr phase_set waiting{retrying, awaiting_reset_group}; // the scrub goes on by itself
constexpr phase_set idle{
    fresh,   held,      granted, leased, retrying, awaiting_reset_group, failed, failed_awaiting_reset_group,
    untaken, inherited, unknown};
constexpr phase_set in_scrub{ending_reset, awaiting_page,        scrubbing,  awaiting_pirqs,
                             retrying,     awaiting_reset_group, letting_go, ending_inherited};
constexpr phase_set not_clean{failed, failed_awaiting_reset_group};

constexpr event_set scrub_ends{e::scrub_clean, e::scrub_failed, e::scrub_retries, e::scrub_yields, e::scrub_blocked};
constexpr event_set job_ends =
    scrub_ends | event_set{e::taken,       e::not_taken,      e::granted,         e::grant_refused,  e::grant_failed,
                           e::lease_begun, e::reset_over,     e::scrub_has_pirqs, e::withdrawn,      e::not_withdrawn,
                           e::given_back,  e::not_given_back, e::claimed,         e::removal_let_go, e::removal_kept};
constexpr event_set wishes{e::hold,  e::inherit, e::inherit_unknown, e::grant,   e::revoke,
                           e::lease, e::adopt,   e::reset,           e::release, e::retry};

// clang-format off
constexpr std::array rules{
    // -- from dom0, or from an earlier instance
    life::rule{fresh, e::hold, always, taking, {f::begin}},
    life::rule{fresh, e::inherit, always, inherited, {f::begin}},
    life::rule{fresh, e::inherit_unknown, always, unknown, {}},
    life::rule{{taking, reclaiming}, e::taken, always, scrubbing, {f::end_guest, f::scrub}},
    life::rule{taking, e::not_taken, always, ended, {f::end}},
    life::rule{{inherited, unknown}, e::guest_ended, always, reclaiming, {f::end_inheritance, f::take}},
    life::rule{{inherited, unknown}, e::revoke, always, reclaiming, {f::wait, f::end_inheritance, f::take}},
    life::rule{untaken, e::retry, always, reclaiming, {f::wait, f::take}},
    life::rule{inherited, e::adopt, there, leased, {f::begin}},
    life::rule{reclaiming, e::not_taken, here, untaken, {f::settle}},
    life::rule{reclaiming, e::not_taken, removed, gone, {f::forget, f::settle}},

    // -- to a guest
    life::rule{held, e::prepare, there, held_preparing, {f::begin}},
    life::rule{granted, e::prepare, there, granted_preparing, {f::begin}},
    life::rule{not_clean, e::prepare, there, failed_preparing, {f::begin}},
    life::rule{held_preparing, e::prepared, always, held, {f::resume}},
    life::rule{granted_preparing, e::prepared, always, granted, {f::resume}},
    life::rule{failed_preparing, e::prepared, always, failed, {f::resume}},
    life::rule{held, e::grant, there, granting, {f::begin}},
    life::rule{granting, e::granted, always, granted, {f::settle}},
    life::rule{granting, e::grant_refused, here, held, {f::note_wish_gone, f::settle}},
    life::rule{granting, e::grant_refused, removed, gone, {f::note_gone, f::settle}},
    life::rule{granting, e::grant_failed, always, scrubbing, {f::end_guest, f::scrub}},
    life::rule{{held, granted}, e::lease, there, leasing, {f::begin}},
    life::rule{leasing, e::lease_begun, always, leased, {f::begin, f::settle}},
    life::rule{leased, e::reset, here, resetting, {f::begin}},
    life::rule{resetting, e::reset_over, always, leased, {f::begin, f::settle}},

    // -- taken back
    life::rule{leased, {e::returned, e::driver_lost}, always, awaiting_page, {f::end_serving, f::end_guest, f::await_page}},
    life::rule{leased, {e::guest_time_over, e::unanswered}, removing, awaiting_page, {f::end_serving, f::end_guest, f::await_page}},
    life::rule{resetting, e::returned, always, ending_reset, {f::end_serving}},
    life::rule{ending_reset, e::reset_over, always, awaiting_page, {f::end_guest, f::await_page}},
    life::rule{awaiting_page, e::page_unmapped, always, scrubbing, {f::scrub}},
    life::rule{granted, {e::guest_ended, e::driver_lost}, always, scrubbing, {f::end_guest, f::scrub}},
    life::rule{granted, e::revoke, always, scrubbing, {f::wait, f::end_guest, f::scrub}},
    life::rule{held, e::reset_by_host, there, scrubbing, {f::end_guest, f::scrub}},
    life::rule{not_clean, e::retry, there, scrubbing, {f::wait, f::end_guest, f::scrub}},

    // -- clean, or not
    life::rule{scrubbing, e::scrub_has_pirqs, always, awaiting_pirqs, {f::await_pirqs}},
    life::rule{scrubbing, scrub_ends, going, letting_go, {f::let_removal_go}},
    life::rule{scrubbing, scrub_ends, removed, gone, {f::note_gone, f::settle}},
    life::rule{scrubbing, e::scrub_clean, there, held, {f::note_clean, f::settle}},
    life::rule{scrubbing, e::scrub_failed, there, failed, {f::note_failed, f::settle}},
    life::rule{scrubbing, e::scrub_retries, there, retrying, {f::await_retry}},
    life::rule{scrubbing, e::scrub_yields, there, stays, {f::scrub}},
    life::rule{scrubbing, e::scrub_blocked, there, awaiting_reset_group, {f::await_reset_group}},
    life::rule{awaiting_pirqs, e::look_at_pirqs, always, scrubbing, {f::scrub}},
    life::rule{retrying, e::pause_over, there, scrubbing, {f::scrub}},
    life::rule{awaiting_reset_group, e::pause_over, there, failed_awaiting_reset_group, {f::note_failed, f::settle}},
    life::rule{{awaiting_reset_group, failed_awaiting_reset_group}, e::reset_group_quiet, there, scrubbing, {f::scrub}},
    life::rule{awaiting_reset_group, e::driver_lost, there, failed_awaiting_reset_group, {f::settle}},
    life::rule{{held, retrying}, e::driver_lost, there, failed, {f::settle}},

    // -- dom0 removes it
    life::rule{leased, e::removal_goes_on, removing, stays, {f::await_guest}},
    life::rule{granted, e::removal_goes_on, removing, scrubbing, {f::end_guest, f::scrub}},
    life::rule{{inherited, untaken}, e::removal_goes_on, removing, ending_inherited, {f::end_inheritance, f::end_inherited}},
    life::rule{not_clean | waiting | held, e::removal_goes_on, removing, letting_go, {f::let_removal_go}},
    life::rule{{letting_go, ending_inherited}, e::removal_let_go, here, gone, {f::note_let_go, f::settle}},
    life::rule{{letting_go, ending_inherited}, {e::removal_let_go, e::removal_kept}, removed, gone, {f::note_let_go, f::forget, f::settle}},
    life::rule{letting_go, e::removal_kept, here, failed, {f::await_removal_retry}},
    life::rule{ending_inherited, e::removal_kept, here, inherited, {f::await_removal_retry}},

    // -- it is removed: what a guest has of it ends in order
    life::rule{not_clean | waiting | phase_set{held, inherited, unknown, untaken, gone}, e::removed, always, gone, {f::end_inheritance, f::forget, f::settle}},
    life::rule{{held_preparing, failed_preparing, withdrawing}, e::removed, always, gone_busy, {f::forget}},
    life::rule{gone_busy, e::prepared, always, gone, {f::resume}},
    life::rule{gone_busy, {e::withdrawn, e::not_withdrawn}, always, gone, {f::settle}},
    life::rule{gone, e::leave, removed, ended, {f::end}},

    // -- and was not held up
    life::rule{{letting_go, ending_inherited, ending_reset}, e::hold_lost, not_there, stranded, {f::end_inheritance, f::pause_guest, f::settle}},
    life::rule{ending_inherited, e::removed_in_use, always, stays, {}}, // its job tells what is left
    life::rule{idle, e::hold_lost, not_there, stranded, {f::end_inheritance, f::pause_guest, f::settle}},
    life::rule{idle, e::removed_in_use, always, stranded, {f::end_inheritance, f::pause_guest, f::settle}},
    life::rule{busy.without(away), e::hold_lost, not_there, stranded_busy, {f::end_inheritance, f::pause_guest}},
    life::rule{busy.without(away), e::removed_in_use, always, stranded_busy, {f::end_inheritance, f::pause_guest}},
    life::rule{stranded_busy, e::prepared, always, stranded, {f::resume}},
    life::rule{stranded_busy, job_ends, always, stranded, {f::settle}},

    // -- back to dom0
    life::rule{held, e::release, there, giving_back, {f::begin}},
    life::rule{not_clean, e::release, there, withdrawing, {f::begin}},
    life::rule{untaken, e::release, there, giving_back_untaken, {f::begin}},
    life::rule{gone, e::release, always, ended, {f::end}},
    life::rule{withdrawing, e::withdrawn, always, giving_back_failed, {f::begin}},
    life::rule{withdrawing, e::not_withdrawn, always, failed, {f::note_kept, f::settle}},
    life::rule{{giving_back, giving_back_failed, giving_back_untaken}, e::given_back, always, ended, {f::end}},
    life::rule{{giving_back, giving_back_failed, giving_back_untaken}, {e::claimed, e::not_given_back}, removed, gone, {f::forget, f::settle}},
    life::rule{{giving_back, giving_back_failed}, e::not_given_back, here, scrubbing, {f::end_guest, f::scrub}},
    life::rule{giving_back_untaken, e::not_given_back, here, untaken, {f::settle}},
    life::rule{giving_back, e::claimed, here, held, {f::settle}},
    life::rule{giving_back_failed, e::claimed, here, failed, {f::settle}},
    life::rule{giving_back_untaken, e::claimed, here, untaken, {f::settle}},

    // -- the end of its actor
    life::rule{busy | idle | away, e::stop, always, stopped, {f::end}},
    life::rule{{granted, leased}, e::died, always, ended, {f::end_guest}},

    // -- what is the case already, what waits for the end of what is under way, and what is refused
    life::rule{{held, held_preparing}, e::revoke, always, stays, {f::agree}},
    life::rule{held, e::retry, always, stays, {f::agree}},
    life::rule{in_scrub, e::revoke, always, stays, {f::wait}},
    life::rule{busy | waiting | fresh, {e::grant, e::lease}, always, stays, {f::wait}},
    life::rule{busy | idle | away | over, wishes, always, stays, {f::refuse}},
};
// clang-format on

} // namespace of_life
} // namespace

std::span<const function_life::rule> function_life::table() { return of_life::rules; }

bool function_life::busy() const { return of_life::busy.contains(now_); }

} // namespace pci
