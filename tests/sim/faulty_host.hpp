// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/host.hpp"
#include "platform/records.hpp"

namespace test {

/// What happens at which of the daemon's calls to its host. A call is a hypercall, a request to xenstored, an access to
/// a register, a file of sysfs or of the journal; they are counted from 1.
class faults {
public:
  enum class kind : std::uint8_t {
    error,          ///< the call fails, and has done nothing
    ends,           ///< the daemon is killed before it
    ends_after,     ///< the daemon is killed when it is done
    xenstored_goes, ///< xenstored is away from then on, for a while
    hangs,          ///< it does not return until the daemon is killed
    tears,          ///< the daemon is killed in the middle of a write into the journal
  };
  struct fault {
    kind what = kind::error;
    int error = 0; ///< of `error`
  };

  /// What becomes of something that the daemon is told, or that it tells a guest; counted from 1 as well.
  enum class event_kind : std::uint8_t {
    doubled, ///< it comes twice
    late,    ///< it comes a moment later, when other things have happened
    lost,    ///< it does not come: of events of channels
    merged,  ///< it comes as one with the next of its kind: of watches
  };
  /// How late at most.
  static constexpr std::chrono::milliseconds delay{200};

  /// The errors that the real call can give; a call that cannot fail has none.
  [[nodiscard]] static const std::vector<int>& errors_of(std::string_view call);

  /// Carries out one call, or what is planned instead. The result of a daemon that is dead is an error that nobody
  /// will see.
  template <class T>
  pci::result<T> call(std::string_view name, const std::function<pci::result<T>()>& work) {
    const auto fault = next(name);
    if (fault && fault->what == kind::error) {
      return pci::fail(fault->error, std::string(name) + ": injected");
    }
    if (fault && fault->what == kind::hangs) {
      hang(name);
    }
    if (dead) {
      return pci::fail(ECANCELED, "the daemon is dead");
    }
    auto done = work();
    if (fault && fault->what == kind::ends_after) {
      die();
    }
    return done;
  }
  /// Likewise, for calls that cannot fail.
  template <class Work>
  void quiet(std::string_view name, Work work) {
    static_cast<void>(call<void>(name, [&]() -> pci::result<void> {
      work();
      return {};
    }));
  }

  /// What is planned for the next event.
  [[nodiscard]] std::optional<event_kind> next_event(std::string_view name);
  /// The next call is a write that is torn.
  [[nodiscard]] bool tears_next() const;

  std::map<std::size_t, fault> plan;
  std::map<std::size_t, event_kind> event_plan;
  std::vector<std::string> events; ///< by name
  std::vector<std::string> calls;  ///< by name
  std::vector<std::string> hit;    ///< those that were planned
  std::function<void()> xenstored_goes;
  std::function<void()> died;                  ///< the daemon has been killed just now
  std::function<void(std::string_view)> stuck; ///< while a call of this name hangs
  /// Leaves what a write of this record leaves that is cut in the middle.
  std::function<void(const std::string& name, std::string_view text)> torn;
  bool dead = false; ///< nothing that the daemon does has an effect any more

private:
  void die();
  void hang(std::string_view name);
  [[nodiscard]] std::optional<fault> next(std::string_view name);
};

/// Who is told of the host's events, each as planned.
class faulty_sink final : public platform::event_sink {
public:
  faulty_sink(platform::event_sink& inside, faults& all, const platform::clock& time)
      : inside_(inside), all_(all), time_(time) {}

  void store_changed(const std::string& path, const std::string& token) override;
  void line_interrupts(std::span<const pci::sbdf> addresses) override;
  void function_removed(const pci::sbdf& address) override { inside_.function_removed(address); }
  void function_added(const pci::sbdf& address) override { inside_.function_added(address); }
  void function_error(const pci::sbdf& address, pci::error_severity severity, std::string_view status) override;
  void recovery_ended(const pci::sbdf& address) override { inside_.recovery_ended(address); }
  void driver_unbound(const pci::sbdf& address) override;
  void removal_waits(const pci::sbdf& address) override { inside_.removal_waits(address); }
  void resumed() override { inside_.resumed(); }
  void lost(std::string_view what, const std::string& reason) override { inside_.lost(what, reason); }
  void regained(std::string_view what) override { inside_.regained(what); }

  /// Tells what has been held back for long enough. False: nothing.
  [[nodiscard]] bool tell_late();
  /// The daemon that was to be told is no more.
  void forget() { held_back_.clear(); }

private:
  struct held {
    std::chrono::nanoseconds until{};
    std::string merges; ///< with the next watch event of this path; empty: with none
    std::function<void()> tell;
  };
  void pass(std::string_view name, const std::string& path, std::function<void()> tell);

  platform::event_sink& inside_;
  faults& all_;
  const platform::clock& time_;
  std::vector<held> held_back_;
};

/// A host of which the daemon's calls go through `faults`.
class faulty_host final : public platform::host {
public:
  faulty_host(platform::host& inside, faults& all);
  ~faulty_host() override;

  platform::store& xenstore() override;
  platform::event_channels& channels() override;
  platform::grants& grant_table() override;
  platform::hypervisor& xen() override;
  platform::pci_host& pci() override;
  platform::line_interrupts& lines() override;
  platform::removal_guards& guards() override;
  const platform::clock& time() const override { return inside_.time(); }
  pci::result<void> start(platform::event_sink& sink) override { return inside_.start(sink); }
  void stop() override { inside_.stop(); }

private:
  struct parts;
  platform::host& inside_;
  std::unique_ptr<parts> parts_;
};

/// A journal's records likewise.
[[nodiscard]] std::shared_ptr<platform::records> faulty_records(std::shared_ptr<platform::records> inside, faults& all);

} // namespace test
