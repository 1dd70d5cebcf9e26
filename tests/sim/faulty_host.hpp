// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
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
  };
  struct fault {
    kind what = kind::error;
    int error = 0; ///< of `error`
  };

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

  std::map<std::size_t, fault> plan;
  std::vector<std::string> calls; ///< by name
  std::vector<std::string> hit;   ///< those that were planned
  std::function<void()> xenstored_goes;
  std::function<void()> died; ///< the daemon has been killed just now
  bool dead = false;          ///< nothing that the daemon does has an effect any more

private:
  void die();
  [[nodiscard]] std::optional<fault> next(std::string_view name);
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
