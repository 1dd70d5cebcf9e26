// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/fwd.hpp>
#include <caf/replies_to.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

#include "messages/explanation.hpp"
#include "messages/types.hpp"
#include "pci/protocol/operations.hpp"

// All messages stay in this process, so the types need no serialisation.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pci::sbdf)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pci::request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pci::answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pci::error_tally)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::function_error)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pci::policy_change)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::function_owner)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::function_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::domain_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::explanation)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::overview)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::register_account)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::config_account)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pci::policy)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::domain_name)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::attach_options)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::lease_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(messages::job)

CAF_BEGIN_TYPE_ID_BLOCK(pcibackd, caf::first_custom_type_id)
CAF_ADD_ATOM(pcibackd, messages, acknowledge_atom, "acknowl")
CAF_ADD_ATOM(pcibackd, messages, added_atom, "added")
CAF_ADD_ATOM(pcibackd, messages, adopt_atom, "adopt")
CAF_ADD_ATOM(pcibackd, messages, again_atom, "again")
CAF_ADD_ATOM(pcibackd, messages, attach_atom, "attach")
CAF_ADD_ATOM(pcibackd, messages, changed_atom, "changed")
CAF_ADD_ATOM(pcibackd, messages, config_atom, "config")
CAF_ADD_ATOM(pcibackd, messages, detach_atom, "detach")
CAF_ADD_ATOM(pcibackd, messages, drain_atom, "drain")
CAF_ADD_ATOM(pcibackd, messages, due_atom, "due")
CAF_ADD_ATOM(pcibackd, messages, ended_atom, "ended")
CAF_ADD_ATOM(pcibackd, messages, error_atom, "error")
CAF_ADD_ATOM(pcibackd, messages, explain_atom, "explain")
CAF_ADD_ATOM(pcibackd, messages, find_atom, "find")
CAF_ADD_ATOM(pcibackd, messages, grant_atom, "grant")
CAF_ADD_ATOM(pcibackd, messages, hold_atom, "hold")
CAF_ADD_ATOM(pcibackd, messages, inherit_atom, "inherit")
CAF_ADD_ATOM(pcibackd, messages, introduced_atom, "introduced")
CAF_ADD_ATOM(pcibackd, messages, kick_atom, "kick")
CAF_ADD_ATOM(pcibackd, messages, lease_atom, "lease")
CAF_ADD_ATOM(pcibackd, messages, leave_atom, "leave")
CAF_ADD_ATOM(pcibackd, messages, line_atom, "line")
CAF_ADD_ATOM(pcibackd, messages, list_atom, "list")
CAF_ADD_ATOM(pcibackd, messages, look_atom, "look")
CAF_ADD_ATOM(pcibackd, messages, note_atom, "note")
CAF_ADD_ATOM(pcibackd, messages, owner_atom, "owner")
CAF_ADD_ATOM(pcibackd, messages, place_atom, "place")
CAF_ADD_ATOM(pcibackd, messages, quiet_atom, "quiet")
CAF_ADD_ATOM(pcibackd, messages, recover_atom, "recover")
CAF_ADD_ATOM(pcibackd, messages, recovered_atom, "recovered")
CAF_ADD_ATOM(pcibackd, messages, policy_atom, "policy")
CAF_ADD_ATOM(pcibackd, messages, registers_atom, "registers")
CAF_ADD_ATOM(pcibackd, messages, release_atom, "release")
CAF_ADD_ATOM(pcibackd, messages, reload_atom, "reload")
CAF_ADD_ATOM(pcibackd, messages, removed_atom, "removed")
CAF_ADD_ATOM(pcibackd, messages, renew_atom, "renew")
CAF_ADD_ATOM(pcibackd, messages, request_atom, "request")
CAF_ADD_ATOM(pcibackd, messages, reread_atom, "reread")
CAF_ADD_ATOM(pcibackd, messages, restore_atom, "restore")
CAF_ADD_ATOM(pcibackd, messages, retry_atom, "retry")
CAF_ADD_ATOM(pcibackd, messages, return_atom, "return")
CAF_ADD_ATOM(pcibackd, messages, resumed_atom, "resumed")
CAF_ADD_ATOM(pcibackd, messages, revoke_atom, "revoke")
CAF_ADD_ATOM(pcibackd, messages, run_atom, "run")
CAF_ADD_ATOM(pcibackd, messages, status_atom, "status")
CAF_ADD_ATOM(pcibackd, messages, stop_atom, "stop")
CAF_ADD_ATOM(pcibackd, messages, unbound_atom, "unbound")
CAF_ADD_ATOM(pcibackd, messages, unmapped_atom, "unmapped")
CAF_ADD_ATOM(pcibackd, messages, wait_atom, "wait")
CAF_ADD_ATOM(pcibackd, messages, waits_atom, "waits")
CAF_END_TYPE_ID_BLOCK(pcibackd)

namespace messages {

/// Does jobs one after the other on a thread of its own, which may block; answers when each is done.
using worker_actor = caf::typed_actor<caf::replies_to<run_atom, job>::with<void>>;

/// When device actors are to look at their functions' lines again: one timer for all, so that an idle daemon wakes once
/// for all of them.
using line_clock_actor = caf::typed_actor<
    /// From a device actor, which is sent its `look_atom` with this number at this time of the host's clock. The last
    /// that it asked for counts.
    caf::reacts_to<look_atom, std::uint64_t, caf::timespan>,
    /// The timer has run out; the number tells which.
    caf::reacts_to<due_atom, std::uint64_t>>;

/// One held PCI function; the only one that touches it.
using device_actor = caf::typed_actor<
    /// Takes the function from dom0, with `true` from whatever driver has it, and scrubs it. Root's first message.
    caf::replies_to<hold_atom, bool>::with<void>,
    /// Does the toolstack's half for a domain: assignment, memory, ports, the line. EBUSY: somebody has it. EINVAL:
    /// dom0.
    caf::replies_to<grant_atom, domain_id>::with<void>,
    /// Likewise, otherwise than the settings say. Answers with what was done.
    caf::replies_to<grant_atom, domain_id, attach_options>::with<attach_options>,
    /// Takes a grant back that never became a lease, and scrubs. Answers when the function is clean.
    caf::replies_to<revoke_atom, domain_id>::with<void>,
    /// Hands the function to a domain. Exclusive: EBUSY while it is anybody's, another domain's grant included.
    caf::replies_to<lease_atom, lease_request>::with<lease>,
    /// Where the guest that has the lease sees the function.
    caf::reacts_to<place_atom, lease, pci::sbdf>,
    /// Ends a lease. Answers when the function is quiet (no DMA, no interrupts, no pirq mapped); the scrub goes on by
    /// itself.
    caf::replies_to<return_atom, lease>::with<void>,
    /// The guest that has the lease begins anew, and knows nothing of what it did before: its vectors and its DMA end,
    /// and what it wrote into the virtual registers is forgotten. Answers when that is done.
    caf::replies_to<renew_atom, lease>::with<void>,
    /// The guest's page is unmapped: from the guest's actor, to the functions whose leases it has returned.
    caf::reacts_to<unmapped_atom>,
    /// A domain is dying or gone: a grant for it is taken back.
    caf::reacts_to<ended_atom, domain_id>,
    /// An interrupt of the function's line asks for a look at the line, now.
    caf::reacts_to<line_atom>,
    /// The time has come for a look that was planned; the number tells which.
    caf::reacts_to<look_atom, std::uint64_t>,
    /// Turns the acknowledging of a shared line on or off. ENODEV: no handler on this function's line.
    caf::replies_to<acknowledge_atom, bool>::with<void>,
    /// Errors that the function reported, or a bridge; or the kernel has done with them.
    caf::reacts_to<error_atom, pci::error_tally>,
    /// Gives the function its configuration and its guest's vectors again, after a reset if `true`. Answers when it is
    /// done. EIO: the hardware does not come back.
    caf::replies_to<recover_atom, lease, bool>::with<void>,
    /// A recovery has ended, with success if `true`.
    caf::reacts_to<recovered_atom, lease, bool>,
    /// Changes what the guest may do, at once and until the lease ends. EINVAL: a quirk that cannot be had.
    caf::replies_to<policy_atom, pci::policy_change>::with<void>,
    /// The function's registers, and what its guest wrote in vain.
    caf::replies_to<registers_atom>::with<register_account>,
    /// Its configuration space, read now. EBUSY: it is being worked on.
    caf::replies_to<config_atom>::with<config_account>,
    /// What the settings say of it now: for the next lease, and with `true` kept until the function is released.
    caf::reacts_to<reload_atom, pci::policy, bool>,
    /// dom0's kernel removes the function, and waits until no pirq of it is left.
    caf::reacts_to<waits_atom>,
    /// The time is over that the guest has meanwhile to let go (the number is its lease's).
    caf::reacts_to<waits_atom, std::uint64_t>,
    /// A driver was unbound from the function; with `true` that was some time ago.
    caf::reacts_to<unbound_atom, bool>,
    /// The hardware is gone.
    caf::reacts_to<removed_atom>,
    /// And nobody waits for its return, or another has come in its place: ends as soon as no guest has anything of it.
    caf::reacts_to<leave_atom>, caf::replies_to<status_atom>::with<function_status>,
    /// Whose it is.
    caf::replies_to<owner_atom>::with<function_owner>,
    /// Gives the function back to dom0 and ends. EBUSY: a guest has it. With `false` no driver of dom0 is asked to take
    /// it.
    caf::replies_to<release_atom, bool>::with<void>,
    /// Scrubs a function again whose scrub has failed. Answers when it is clean; EIO: it still is not.
    caf::replies_to<retry_atom>::with<void>,
    /// Time to look whether a device model still has vectors of the function, for which its scrub waits.
    caf::reacts_to<wait_atom>,
    /// Time to go on with a scrub that waits, or to stop waiting (the number tells which).
    caf::reacts_to<again_atom, std::uint64_t>,
    /// A function that shares a reset with this one has become quiet.
    caf::reacts_to<quiet_atom>,
    /// Instead of hold: a guest that lives has the function from an earlier instance (`unknown_domain`: nobody can say
    /// which). It is left alone, and taken and scrubbed when that guest has ended.
    caf::reacts_to<inherit_atom, domain_id>,
    /// dom0 was asleep: the function may have lost its registers and its interrupts.
    caf::reacts_to<resumed_atom>,
    /// What the journal says of the function is to be written again, with `true` at once.
    caf::reacts_to<note_atom, bool>,
    /// Ends without a word to the hardware: the daemon stops, its guests run on.
    caf::reacts_to<stop_atom>>;

/// One guest: a backend directory in xenstore.
using domain_actor = caf::typed_actor<
    /// The guest has answered a request to recover from an error.
    caf::reacts_to<kick_atom>,
    /// The page of a connection is unmapped (the number tells which).
    caf::reacts_to<unmapped_atom, std::uint64_t>,
    /// Something at or below the guest's backend directory or its frontend's state changed.
    caf::reacts_to<changed_atom>,
    /// A frontend has had its time to take part in a reconfiguration (the number tells which).
    caf::reacts_to<wait_atom, std::uint64_t>,
    /// The domain is dying or gone.
    caf::reacts_to<ended_atom>,
    /// A leased function's hardware is gone.
    caf::reacts_to<removed_atom, pci::sbdf>,
    /// A leased function had an error.
    caf::reacts_to<error_atom, function_error>,
    /// The time for a step of a recovery is over (the number tells which).
    caf::reacts_to<recover_atom, std::uint64_t>, caf::replies_to<status_atom>::with<domain_status>,
    /// Ends: the daemon stops.
    caf::reacts_to<stop_atom>>;

/// The registry of held functions and served domains; what an administrator asks for comes here.
using root_actor = caf::typed_actor<
    /// Takes up what the journal says: functions whose guests are gone are scrubbed and held again, those of living
    /// guests left alone. Answers when that is done.
    caf::replies_to<restore_atom>::with<void>,
    /// Takes a function from dom0 (from its driver, with `true`). Answers when it is clean. EBUSY names the driver.
    caf::replies_to<hold_atom, pci::sbdf, bool>::with<void>,
    /// Gives a function back to dom0. With `false` no driver of dom0 is asked to take it.
    caf::replies_to<release_atom, pci::sbdf, bool>::with<void>,
    /// The settings are others now: functions are held, assigned and permitted by them from here on.
    caf::reacts_to<reload_atom>,
    /// The toolstack's half of handing a held function to a guest. Answers with the virtual address when the guest can
    /// see it.
    caf::replies_to<attach_atom, domain_id, pci::sbdf>::with<pci::sbdf>,
    caf::replies_to<attach_atom, domain_id, pci::sbdf, attach_options>::with<pci::sbdf>,
    /// The guest first, the hardware last. Answers when the nodes are gone and the function is clean.
    caf::replies_to<detach_atom, domain_id, pci::sbdf>::with<void>,
    /// Takes a function from the guest that has it, or all of a guest's: the guest first where it answers, by force
    /// when its patience is over. Answers when they are clean.
    caf::replies_to<drain_atom, pci::sbdf>::with<void>, caf::replies_to<drain_atom, domain_id>::with<void>,
    /// The actor of a held function, which takes what concerns that function alone. ENODEV: not held.
    caf::replies_to<find_atom, pci::sbdf>::with<device_actor>,
    /// The guest that an administrator means, asked for once by who read the words. ESRCH: there is none. EINVAL: dom0.
    caf::replies_to<find_atom, domain_name>::with<domain_id>, caf::replies_to<status_atom>::with<overview>,
    /// The same with what xenstore and sysfs say: guests' names, dom0's drivers, what the settings want in vain.
    caf::replies_to<list_atom>::with<overview>,
    /// All that is known of a function, or of a guest's functions. ESRCH: neither runs such a guest, nor do the
    /// settings name it.
    caf::replies_to<explain_atom, pci::sbdf>::with<explanation>,
    caf::replies_to<explain_atom, domain_name>::with<explanation>,
    /// A backend directory for which there is no domain actor changed.
    caf::reacts_to<changed_atom, domain_id>,
    /// xenstored was away, and nobody knows what has changed meanwhile: all is read again.
    caf::reacts_to<reread_atom>,
    /// Some domain was shut down, died or went: ask the hypervisor which.
    caf::reacts_to<ended_atom>,
    /// Some domain appeared.
    caf::reacts_to<introduced_atom>,
    /// A function was removed, or came.
    caf::reacts_to<removed_atom, pci::sbdf>, caf::reacts_to<added_atom, pci::sbdf>,
    /// A driver lost a function: perhaps the physical function of some virtual ones.
    caf::reacts_to<unbound_atom, pci::sbdf>,
    /// A function's removal from dom0 waits.
    caf::reacts_to<waits_atom, pci::sbdf>,
    /// There are errors of functions to be taken from the pump.
    caf::reacts_to<error_atom>,
    /// dom0 was asleep.
    caf::reacts_to<resumed_atom>,
    /// Guests of an earlier instance are to be served, as soon as what the journal says has been taken up.
    caf::reacts_to<adopt_atom>,
    /// Ends all others, then itself.
    caf::reacts_to<stop_atom>>;

/// The administrator's side: reads requests and asks root.
using control_actor = caf::typed_actor<
    /// One line of a connection of the control socket (its number is the socket's); the answer goes to the sink that
    /// the actor was started with.
    caf::reacts_to<request_atom, std::uint64_t, std::string>,
    /// Time to end the trace of a connection that has not asked for a while.
    caf::reacts_to<again_atom, std::uint64_t>>;

} // namespace messages
