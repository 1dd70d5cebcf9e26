#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "actors/pump/pump.hpp"
#include "messages/types.hpp"
#include "pci/protocol/aer.hpp"
#include "pci/protocol/shared_page.hpp"
#include "platform/host.hpp"

namespace actors {

/// A guest's shared page and event channel, while they are connected. It answers accesses to configuration space
/// itself, on the thread that waited for the guest's event: a message to the domain actor and one to the device's cost
/// the guest as much as the access (measured in the lab). All else it leaves to the domain actor. Thread-safe, for the
/// two meet here. Destroying it unbinds the channel, then unmaps the page.
class connection final : public port_service {
public:
  struct counts {
    std::uint64_t operations = 0; ///< answered
    std::uint64_t absent = 0;     ///< of these, for addresses where there is nothing
    std::uint64_t late = 0;       ///< answers that the guest had given up on
  };

  /// Maps the page and binds the channel. May block.
  [[nodiscard]] static pci::result<std::shared_ptr<connection>>
  open(platform::host& host, messages::domain_id domain, std::uint32_t grant_reference, std::uint32_t event_channel);
  connection(platform::host& host, std::unique_ptr<platform::mapped_page> page, platform::port port);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() override;

  /// Answers the operation in the page when it is an access to configuration space. False: the domain actor is needed,
  /// for another operation or because there is none.
  bool serve() override;
  /// What the guest has at a virtual address from now on; null: nothing any more.
  void show(const pci::sbdf& virtual_address, std::shared_ptr<messages::config_access> function);
  [[nodiscard]] counts count() const;
  /// True when `serve` has answered something since the last call.
  [[nodiscard]] bool take_worked();

  [[nodiscard]] pci::shared_page& page() { return view_; }
  [[nodiscard]] platform::port port() const { return port_; }

  /// Sends the guest a request to recover from an error; its answer comes as an event. One at a time.
  void ask(pci::op_code what, pci::channel_state state, const pci::sbdf& virtual_address);
  /// The guest's answer to `ask`, any number, once; empty while there is none.
  [[nodiscard]] std::optional<std::int32_t> take_answer();
  /// Takes the request back.
  void withdraw();

  /// Writes an answer and tells the guest, unless it had given up on the operation; then lets the next event through.
  void answer(const pci::shared_page::ticket& key, const pci::answer& answer);
  /// Lets the next event through. Only after the work is done: that is what bounds a guest to one event at a time.
  void unmask();
  /// Ends the channel at once, for a page that stays mapped a little longer.
  void unbind();

  /// Every access so far was of four bytes, and there was one at least: NetBSD's way.
  [[nodiscard]] bool only_words() const;

private:
  struct shown {
    std::shared_ptr<messages::config_access> function;
    bool multifunction = false; ///< the guest sees others in the slot
  };
  void note_slots();
  void finish(const pci::shared_page::ticket& key, const pci::answer& answer);
  bool announce_answer();

  mutable std::mutex mutex_;
  std::map<pci::sbdf, shown> functions_;
  bool has_accessed_ = false;
  bool only_words_ = true;
  counts counts_;
  bool worked_ = false;
  bool asked_ = false;     ///< the guest is to answer a request
  bool announced_ = false; ///< the domain actor has been told that it has
  platform::host& host_;
  std::unique_ptr<platform::mapped_page> page_;
  pci::shared_page view_;
  pci::aer_page errors_;
  platform::port port_;
  bool bound_ = true;
};

/// How long to leave an event channel masked after events for nothing (XSA-332; what the kernel does for its own
/// backends, and not for user space): none for the first, then 1 ms doubling to 1 s. Work resets it.
class event_backoff {
public:
  [[nodiscard]] std::chrono::milliseconds spurious();
  void worked() { count_ = 0; }

private:
  unsigned count_ = 0;
};

} // namespace actors
