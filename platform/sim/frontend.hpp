// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pci/address.hpp"
#include "pci/protocol/operations.hpp"
#include "pci/protocol/shared_page.hpp"
#include "platform/sim/frontend_habits.hpp"
#include "platform/sim/host.hpp"

namespace platform::sim {

/// What came of one operation.
struct reply {
  std::int32_t error = 0;  ///< op.err; dev_not_found after a time-out, as Linux has it
  std::uint32_t value = 0; ///< op.value
  bool timed_out = false;
  std::vector<std::uint16_t> vectors; ///< of a successful enable_msix
  [[nodiscard]] bool good() const { return error == 0; }
};

/// A function as the guest's enumeration found it, at its virtual address (mini-os: at the host's).
struct seen_function {
  pci::sbdf address;
  std::uint16_t vendor = 0, device = 0;
  std::uint32_t class_code = 0;
  std::uint8_t header_type = 0, interrupt_line = 0, interrupt_pin = 0;
  std::array<std::uint32_t, 6> bars{}, bar_masks{};
  std::map<std::uint8_t, std::uint8_t> capabilities; ///< id → offset of the first
  bool extended = false;
};

/// A PV guest's PCI frontend, written to section 9 of the spec and as unforgiving as the kernels it stands for. Used
/// from one thread, the guest's. The waiter decides how it blocks.
class frontend {
public:
  static constexpr std::chrono::seconds operation_limit{2}; ///< then Linux fails the operation; see set_patience
  static constexpr std::chrono::seconds poll_limit{3};      ///< of one HYPERVISOR_poll
  static constexpr std::chrono::seconds hang_limit{60};     ///< who never gives up hangs: a violation

  frontend(host& host, domain_id domain, waiter& wait, flavour kind = flavour::linux);
  ~frontend();
  frontend(const frontend&) = delete;
  frontend& operator=(const frontend&) = delete;

  // xenbus
  /// Page, grant, port; publishes them in one transaction, then state 3. ENODEV: the toolstack has made no device, or
  /// one that Linux takes for none that is new: its state is not 1.
  [[nodiscard]] pci::result<void> start();
  /// Reacts once to the backend's state and to an AER request. True when it did something.
  bool service();
  /// start, then serves until it is Connected. ETIMEDOUT: not within `limit`.
  [[nodiscard]] pci::result<void> connect(std::chrono::nanoseconds limit = std::chrono::seconds(30));
  /// Serves until its own state is `state`.
  bool serve_until(int state, std::chrono::nanoseconds limit = std::chrono::seconds(30));
  /// As on a guest's shutdown. Linux: 5, waits up to 5 s for the backend's 5, 6. mini-os goes on to 1 and waits for
  /// the backend to begin again; FreeBSD stays in 5; NetBSD says nothing. False: the backend did not follow.
  bool shutdown();
  /// As kexec and mini-os do it: 5, 6, 1, each when the backend has followed (5, 6, 2), then as at the start.
  [[nodiscard]] pci::result<void> reconnect();
  /// What a frontend that starts over does with what it had.
  struct start_over_how {
    bool through_initialising = false; ///< it, or its toolstack, writes 1 first
    bool close_old_port = false;
  };
  /// Begins again without a word, as after a kexec or a toolstack's reset (Linux 7.1): another page, another channel,
  /// state 3, whatever the backend's state; its drivers give their interrupts up when it is Connected, for
  /// which it serves.
  [[nodiscard]] pci::result<void> start_over(start_over_how how,
                                             std::chrono::nanoseconds limit = std::chrono::seconds(30));
  /// Linux ends the driver of a device whose directory went, which takes its time: state 6 is written at the end, into
  /// the directory that is there by then, if one is. `start` is then the probe of what is there.
  void unplug_late();
  /// Linux's module is unloaded: functions, channel and page go, then state 6. `connect` loads it again.
  void unload();
  [[nodiscard]] int state() const { return state_; }
  [[nodiscard]] int backend_state();
  /// The backend or the device directory went away.
  [[nodiscard]] bool unplugged() const { return unplugged_; }
  /// What happens when the guest panics or hangs for good; empty: a violation, as a panic of the host is.
  void when_panicked(std::function<void(const std::string& why)> then) { when_panicked_ = std::move(then); }
  /// False: the guest connects without looking for its functions (for tests that want few operations).
  void scan_on_connect(bool scan) { scan_on_connect_ = scan; }

  // Operations
  [[nodiscard]] reply read(const pci::sbdf& function, std::int32_t offset, std::int32_t size);
  reply write(const pci::sbdf& function, std::int32_t offset, std::int32_t size, std::uint32_t value);
  /// Any operation: all fields as given.
  reply perform(pci::wire::operation what);
  [[nodiscard]] pci::wire::operation make(pci::op_code code, const pci::sbdf& function) const;
  /// The whole enumeration: Linux's of every published root (spec 9.2), the BSDs' of their slots, mini-os's of what the
  /// backend lists.
  std::vector<seen_function> scan();
  /// What the last scan found.
  [[nodiscard]] const std::vector<seen_function>& functions() const { return functions_; }
  [[nodiscard]] const seen_function* find(const pci::sbdf& function) const;

  // Interrupts, with the configuration traffic that Linux's PCI core makes around the operation. The pirqs are bound.
  reply enable_msi(const pci::sbdf& function);
  reply enable_msix(const pci::sbdf& function, const std::vector<std::uint16_t>& entries);
  /// Unbinds and disables whatever is on. Linux sends disable_msi for MSI-X too; `with` chooses another.
  reply disable(const pci::sbdf& function, pci::op_code with = pci::op_code::disable_msi);
  [[nodiscard]] pci::result<void> bind_pirq(std::uint32_t pirq);
  void unbind_pirq(std::uint32_t pirq);
  [[nodiscard]] std::uint64_t interrupts(std::uint32_t pirq) const;
  [[nodiscard]] const std::vector<std::uint16_t>& pirqs(const pci::sbdf& function) const;

  // AER
  /// What the guest's driver answers an AER request with (a pci_ers_result); default: no driver, NONE.
  void answer_aer_with(std::int32_t result) { aer_result_ = result; }
  /// The guest's driver: is given each request, in which it may use the function, and answers with any number; empty:
  /// never. Comes before `answer_aer_with`.
  using aer_driver = std::function<std::optional<std::int32_t>(const pci::wire::aer_operation& request)>;
  void handle_aer(aer_driver driver) { aer_driver_ = std::move(driver); }
  [[nodiscard]] const std::vector<std::uint32_t>& aer_requests() const { return aer_requests_; }

  // Misbehaviour
  [[nodiscard]] guest_page& page() { return *page_; }
  [[nodiscard]] pci::wire::shared_info& shared() { return *reinterpret_cast<pci::wire::shared_info*>(page_.get()); }
  void set_flags(std::uint32_t set, std::uint32_t clear = 0);
  [[nodiscard]] std::uint32_t flags();
  /// Puts an operation into the page and raises the flag, without a notification and without waiting.
  void post(const pci::wire::operation& what);
  void kick();
  /// Writes a node of the guest's own directory ("state", "magic", ...), whatever it is.
  result<void> write_node(const std::string& name, std::string_view value);
  /// No reaction to anything until it is turned off again.
  void withhold(bool on) { withheld_ = on; }

  [[nodiscard]] domain_id domain() const { return domain_; }
  [[nodiscard]] flavour kind() const { return kind_; }
  [[nodiscard]] bool uses_messages() const { return habits_->messages; }
  [[nodiscard]] std::uint64_t operations() const { return operations_; }
  [[nodiscard]] std::uint64_t timeouts() const { return timeouts_; }
  /// Of a guest whose host is slower than hosts are: under a sanitizer, beside other tests.
  void set_patience(std::chrono::nanoseconds limit) { patience_ = limit; }
  [[nodiscard]] std::uint32_t grant_reference() const { return reference_; }
  [[nodiscard]] std::uint32_t event_channel() const { return port_; }

private:
  void panic(const std::string& why);
  void set_state(int state);
  [[nodiscard]] std::string read_node(const std::string& name);
  void allocate();
  [[nodiscard]] result<void> publish();
  void watch_backend();
  bool backend_is(int state);
  bool react(int backend);
  bool react_as_linux(int backend);
  bool react_as_mini_os(int backend);
  bool react_as_netbsd(int backend);
  bool react_as_freebsd(int backend);
  bool shut_down_as_mini_os();
  bool come_up(int next);
  void unplug();
  void remove_gone_functions();
  void forget_functions();
  bool service_aer();
  [[nodiscard]] std::optional<std::int32_t> answer_aer(const pci::wire::aer_operation& request) const;
  reply collect(const pci::wire::operation& what, bool timed_out);
  bool wait_for_answer();
  bool wait_for_flag();
  bool translate(pci::wire::operation& what);
  [[nodiscard]] int published(const char* node);
  [[nodiscard]] std::optional<pci::sbdf> listed(const char* node, int index);
  std::vector<seen_function> scan_list();
  std::vector<pci::sbdf> published_roots();
  using buses = std::set<std::pair<std::uint16_t, std::uint8_t>>; ///< segment and bus
  void scan_bus(const pci::sbdf& bus, bool root, buses& scanned, std::vector<seen_function>& found);
  void scan_slots(const pci::sbdf& bus, bool root, std::vector<seen_function>& found);
  bool scan_devfn(const pci::sbdf& address, std::vector<seen_function>& found);
  seen_function examine(const pci::sbdf& address, std::uint32_t ids);
  void size_bars(seen_function& function);
  void walk_capabilities(seen_function& function);
  void set_intx_disable(const pci::sbdf& function, bool disable);
  void change_control(const pci::sbdf& function, std::uint8_t capability, std::uint16_t set, std::uint16_t clear);
  [[nodiscard]] std::uint32_t value(const pci::sbdf& function, std::int32_t offset, std::int32_t size);

  host* host_;
  domain_id domain_;
  waiter* wait_;
  flavour kind_;
  const habits* habits_;
  std::string own_path_, backend_path_;
  std::shared_ptr<guest_page> page_;
  std::uint32_t reference_ = 0, port_ = 0;
  std::shared_ptr<std::atomic<bool>> pending_;
  std::shared_ptr<std::atomic<bool>> changed_ = std::make_shared<std::atomic<bool>>(true);
  int state_ = 1, backend_seen_ = 0, backend_handled_ = -1;
  bool watching_ = false, unplugged_ = false, withheld_ = false, scan_on_connect_ = true;
  std::vector<seen_function> functions_;
  std::map<pci::sbdf, std::vector<std::uint16_t>> pirqs_;
  std::int32_t aer_result_ = 1;
  aer_driver aer_driver_;
  std::function<void(const std::string&)> when_panicked_;
  bool handling_aer_ = false, aer_kept_ = false; ///< its driver has the request; it keeps it and does not answer
  std::vector<std::uint32_t> aer_requests_;
  std::uint64_t operations_ = 0, timeouts_ = 0;
  std::chrono::nanoseconds patience_ = operation_limit;
};

} // namespace platform::sim
