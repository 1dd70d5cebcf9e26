// SPDX-License-Identifier: GPL-2.0-or-later
#include "faulty_host.hpp"

#include <algorithm>

#include <cerrno>

namespace test {

namespace faulty_calls {

using pci::result;
using platform::domain_id;

/// By call: what libxenstore, Xen, the kernel and the file system give.
const std::map<std::string_view, std::vector<int>>& error_table() {
  static const std::map<std::string_view, std::vector<int>> all{
      // xenstored (xenstore.h; docs/misc/xenstore.txt): the connection, its memory, a transaction that was overtaken
      {"xenstore read", {EIO}},
      {"xenstore write", {EIO, ENOMEM}},
      {"xenstore mkdir", {EIO}},
      {"xenstore rm", {EIO}},
      {"xenstore directory", {EIO}},
      {"xenstore set_perms", {EIO}},
      {"xenstore transaction", {EAGAIN, EIO}},
      {"xenstore watch", {EIO}},
      {"xenstore unwatch", {EIO}},
      // Xen (physdev.c, domctl.c, event_channel.c, grant_table.c)
      {"bind_interdomain", {ENOSPC, EINVAL}},
      {"notify", {EINVAL}},
      {"grant map", {EINVAL, EAGAIN}},
      {"map_msi", {ENOSPC, EINVAL}},
      {"map_msix", {ENOSPC, EINVAL}},
      {"unmap_pirq", {EINVAL}},
      {"prepare_msix", {ENXIO, EBUSY}},
      {"release_msix", {EBUSY}},
      {"restore_msi", {EINVAL}},
      {"assign", {EBUSY, ENODEV}},
      {"deassign", {ENOMEM}},
      {"has_guest", {EPERM}},
      {"iomem_permission", {ENOMEM}},
      {"ioport_permission", {ENOMEM}},
      {"irq_permission", {ENOMEM}},
      {"map_gsi", {ENOSPC, EBUSY}},
      {"line_shared", {EINVAL}},
      {"destroydomain", {ESRCH}},
      {"pausedomain", {ESRCH}},
      // dom0's kernel
      {"describe", {EIO, ENODEV}},
      {"identify", {EIO}},
      {"resources", {EIO}},
      {"open config", {EMFILE}},
      {"config read", {EIO}},
      {"config write", {EIO}},
      {"driver", {EIO}},
      {"bind holder", {EBUSY, ENODEV}},
      {"bind driver", {EIO}},
      {"reset_method", {EIO}},
      {"reset", {ENOTTY, EAGAIN}},
      {"line counts", {EIO}},
      {"noirqdebug", {EACCES}},
      {"open uio", {EMFILE, ENOENT}},
      {"arm guard", {EMFILE, EPIPE}},
      // /run
      {"journal names", {EIO}},
      {"journal read", {EIO}},
      {"journal write", {ENOSPC}},
      {"journal remove", {EIO}},
      {"journal doubt", {ENOSPC}},
      {"journal set aside", {EIO}},
      {"journal words", {ENOSPC}},
  };
  return all;
}

template <class Interface, class Inside = Interface>
class operations : public Interface {
public:
  operations(Inside& inside, faults& all) : inside_(inside), all_(all) {}
  result<std::string> read(const std::string& path) override {
    return all_.call<std::string>("xenstore read", [&] { return inside_.read(path); });
  }
  result<void> write(const std::string& path, std::string_view value) override {
    return all_.call<void>("xenstore write", [&] { return inside_.write(path, value); });
  }
  result<void> make_directory(const std::string& path) override {
    return all_.call<void>("xenstore mkdir", [&] { return inside_.make_directory(path); });
  }
  result<void> remove(const std::string& path) override {
    return all_.call<void>("xenstore rm", [&] { return inside_.remove(path); });
  }
  result<std::vector<std::string>> list(const std::string& path) override {
    return all_.call<std::vector<std::string>>("xenstore directory", [&] { return inside_.list(path); });
  }
  result<void> set_permissions(const std::string& path, std::span<const platform::node_permission> who) override {
    return all_.call<void>("xenstore set_perms", [&] { return inside_.set_permissions(path, who); });
  }

protected:
  Inside& inside_;
  faults& all_;
};

class faulty_store final : public operations<platform::store> {
public:
  using operations::operations;
  // One that is aborted by a fault inside has written nothing, as the real one.
  result<void> transact(const std::function<result<void>(platform::store_operations&)>& body,
                        unsigned attempts) override {
    return all_.call<void>("xenstore transaction", [&] {
      return inside_.transact(
          [&](platform::store_operations& within) -> result<void> {
            operations<platform::store_operations> counted(within, all_);
            auto done = body(counted);
            return all_.dead ? pci::fail(ECANCELED, "the daemon is dead") : std::move(done);
          },
          attempts);
    });
  }
  result<void> watch(const std::string& path, const std::string& token, unsigned depth) override {
    return all_.call<void>("xenstore watch", [&] { return inside_.watch(path, token, depth); });
  }
  result<void> unwatch(const std::string& path, const std::string& token) override {
    return all_.call<void>("xenstore unwatch", [&] { return inside_.unwatch(path, token); });
  }
};

/// The two directions of a channel: events of the guest's, and notifications to it.
class faulty_channel final : public platform::event_channel {
public:
  faulty_channel(std::unique_ptr<platform::event_channel> inside, faults& all, const platform::clock& time)
      : inside_(std::move(inside)), all_(all), time_(time) {}
  result<bool> wait() override {
    if (all_.dead) {
      return false;
    }
    if (late_notification_ && time_.now() >= *late_notification_) {
      late_notification_.reset();
      static_cast<void>(inside_->notify());
    }
    if (late_event_ && time_.now() >= *late_event_) {
      late_event_.reset();
      return true;
    }
    if (std::exchange(again_, false)) {
      return true;
    }
    auto fired = inside_->wait();
    if (fired && *fired) {
      *fired = planned(all_.next_event("event"));
    }
    return fired;
  }
  void wake() override { inside_->wake(); }
  void unmask() override {
    if (!all_.dead) {
      inside_->unmask();
    }
  }
  result<void> notify() override {
    return all_.call<void>("notify", [&]() -> result<void> {
      const auto planned = all_.next_event("notification");
      if (planned == faults::event_kind::lost) {
        return {};
      }
      if (planned == faults::event_kind::late) {
        late_notification_ = time_.now() + faults::delay;
        return {};
      }
      return planned == faults::event_kind::doubled ? inside_->notify().and_then([&] { return inside_->notify(); })
                                                    : inside_->notify();
    });
  }
  void unbind() override { inside_->unbind(); }

private:
  // It is masked, as after any that is told.
  bool planned(std::optional<faults::event_kind> what) {
    again_ = what == faults::event_kind::doubled;
    if (what == faults::event_kind::late) {
      late_event_ = time_.now() + faults::delay;
    } else if (what == faults::event_kind::lost) {
      inside_->unmask();
    }
    return !what || again_;
  }

  std::unique_ptr<platform::event_channel> inside_;
  faults& all_;
  const platform::clock& time_;
  bool again_ = false;
  std::optional<std::chrono::nanoseconds> late_event_, late_notification_;
};

class faulty_channels final : public platform::event_channels {
public:
  faulty_channels(platform::host& host, faults& all) : inside_(host.channels()), all_(all), time_(host.time()) {}
  result<std::unique_ptr<platform::event_channel>> bind_interdomain(domain_id domain, std::uint32_t remote) override {
    using channel = std::unique_ptr<platform::event_channel>;
    return all_.call<channel>("bind_interdomain", [&] { return inside_.bind_interdomain(domain, remote); })
        .map([this](channel&& bound) -> channel {
          return std::make_unique<faulty_channel>(std::move(bound), all_, time_);
        });
  }

private:
  platform::event_channels& inside_;
  faults& all_;
  const platform::clock& time_;
};

class faulty_grants final : public platform::grants {
public:
  faulty_grants(platform::host& host, faults& all) : inside_(host.grant_table()), all_(all) {}
  result<std::unique_ptr<platform::mapped_page>> map(domain_id domain, std::uint32_t reference) override {
    return all_.call<std::unique_ptr<platform::mapped_page>>("grant map",
                                                             [&] { return inside_.map(domain, reference); });
  }

private:
  platform::grants& inside_;
  faults& all_;
};

class faulty_hypervisor final : public platform::hypervisor {
public:
  faulty_hypervisor(platform::host& host, faults& all) : inside_(host.xen()), all_(all) {}
  result<std::uint16_t> map_msi(domain_id domain, const pci::sbdf& address) override {
    return all_.call<std::uint16_t>("map_msi", [&] { return inside_.map_msi(domain, address); });
  }
  result<std::uint16_t> map_msix(domain_id domain, const pci::sbdf& address, std::uint16_t entry,
                                 std::uint64_t table) override {
    return all_.call<std::uint16_t>("map_msix", [&] { return inside_.map_msix(domain, address, entry, table); });
  }
  result<void> unmap_pirq(domain_id domain, std::uint16_t pirq) override {
    return all_.call<void>("unmap_pirq", [&] { return inside_.unmap_pirq(domain, pirq); });
  }
  result<void> prepare_msix(const platform::msix_function& function) override {
    return all_.call<void>("prepare_msix", [&] { return inside_.prepare_msix(function); });
  }
  result<void> release_msix(const platform::msix_function& function) override {
    return all_.call<void>("release_msix", [&] { return inside_.release_msix(function); });
  }
  result<void> restore_msi(const platform::restorable_function& function) override {
    return all_.call<void>("restore_msi", [&] { return inside_.restore_msi(function); });
  }
  result<void> assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) override {
    return all_.call<void>("assign", [&] { return inside_.assign(domain, address, rdm); });
  }
  result<void> deassign(domain_id domain, const pci::sbdf& address) override {
    return all_.call<void>("deassign", [&] { return inside_.deassign(domain, address); });
  }
  result<bool> has_guest(const pci::sbdf& address) override {
    return all_.call<bool>("has_guest", [&] { return inside_.has_guest(address); });
  }
  unsigned vectors_a_guest() override { return inside_.vectors_a_guest(); }
  unsigned processors() override { return inside_.processors(); }
  result<void> permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count, bool allow) override {
    return all_.call<void>("iomem_permission", [&] { return inside_.permit_memory(domain, first, count, allow); });
  }
  result<void> permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count, bool allow) override {
    return all_.call<void>("ioport_permission", [&] { return inside_.permit_ports(domain, first, count, allow); });
  }
  result<void> permit_irq(domain_id domain, std::uint32_t pirq, bool allow) override {
    return all_.call<void>("irq_permission", [&] { return inside_.permit_irq(domain, pirq, allow); });
  }
  result<void> map_gsi(domain_id domain, std::uint32_t gsi) override {
    return all_.call<void>("map_gsi", [&] { return inside_.map_gsi(domain, gsi); });
  }
  result<bool> line_shared(std::uint32_t gsi) override {
    return all_.call<bool>("line_shared", [&] { return inside_.line_shared(gsi); });
  }
  result<void> crash(domain_id domain) override {
    return all_.call<void>("destroydomain", [&] { return inside_.crash(domain); });
  }
  result<void> pause(domain_id domain) override {
    return all_.call<void>("pausedomain", [&] { return inside_.pause(domain); });
  }
  std::optional<platform::domain_info> domain(domain_id domain) override { return inside_.domain(domain); }

private:
  platform::hypervisor& inside_;
  faults& all_;
};

class faulty_port final : public pci::config_port {
public:
  faulty_port(std::unique_ptr<pci::config_port> inside, faults& all) : inside_(std::move(inside)), all_(all) {}
  result<std::uint32_t> read(std::uint16_t offset, unsigned width) override {
    return all_.call<std::uint32_t>("config read", [&] { return inside_->read(offset, width); });
  }
  result<void> write(std::uint16_t offset, unsigned width, std::uint32_t value) override {
    return all_.call<void>("config write", [&] { return inside_->write(offset, width, value); });
  }

private:
  std::unique_ptr<pci::config_port> inside_;
  faults& all_;
};

class faulty_pci final : public platform::pci_host {
public:
  faulty_pci(platform::host& host, faults& all) : inside_(host.pci()), all_(all) {}
  std::vector<pci::sbdf> list() override { return inside_.list(); }
  std::vector<std::string> beyond_xen() override { return inside_.beyond_xen(); }
  std::vector<pci::reserved_region> reserved_regions() override { return inside_.reserved_regions(); }
  result<pci::function> describe(const pci::sbdf& address) override {
    return all_.call<pci::function>("describe", [&] { return inside_.describe(address); });
  }
  result<pci::identity> identify(const pci::sbdf& address) override {
    return all_.call<pci::identity>("identify", [&] { return inside_.identify(address); });
  }
  result<std::array<pci::resource, 7>> resources(const pci::sbdf& address) override {
    return all_.call<std::array<pci::resource, 7>>("resources", [&] { return inside_.resources(address); });
  }
  std::string needed_for(const pci::sbdf& address) override { return inside_.needed_for(address); }
  result<std::unique_ptr<pci::config_port>> open_config(const pci::sbdf& address) override {
    using port = std::unique_ptr<pci::config_port>;
    return all_.call<port>("open config", [&] { return inside_.open_config(address); })
        .map([this](port&& opened) -> port { return std::make_unique<faulty_port>(std::move(opened), all_); });
  }
  result<std::string> driver(const pci::sbdf& address) override {
    return all_.call<std::string>("driver", [&] { return inside_.driver(address); });
  }
  result<void> hold(const pci::sbdf& address, platform::holder how, bool seize) override {
    return all_.call<void>("bind holder", [&] { return inside_.hold(address, how, seize); });
  }
  result<void> release(const pci::sbdf& address) override {
    return all_.call<void>("bind driver", [&] { return inside_.release(address); });
  }
  result<void> let_go(const pci::sbdf& address) override {
    return all_.call<void>("bind driver", [&] { return inside_.let_go(address); });
  }
  std::string previous_driver(const pci::sbdf& address) override { return inside_.previous_driver(address); }
  void remember_driver(const pci::sbdf& address, const std::string& driver) override {
    inside_.remember_driver(address, driver);
  }
  std::optional<platform::power_settings> power_before(const pci::sbdf& address) override {
    return inside_.power_before(address);
  }
  void remember_power(const pci::sbdf& address, const platform::power_settings& before) override {
    inside_.remember_power(address, before);
  }
  result<std::vector<pci::reset_option>> reset_options(const pci::sbdf& address) override {
    return all_.call<std::vector<pci::reset_option>>("reset_method", [&] { return inside_.reset_options(address); });
  }
  std::string boot_id() override { return inside_.boot_id(); }
  result<void> reset(const pci::sbdf& address, pci::reset_method how) override {
    return all_.call<void>("reset", [&] { return inside_.reset(address, how); });
  }

private:
  platform::pci_host& inside_;
  faults& all_;
};

class faulty_lines final : public platform::line_interrupts {
public:
  faulty_lines(platform::host& host, faults& all) : inside_(host.lines()), all_(all) {}
  pci::line_facts facts(unsigned gsi) override { return inside_.facts(gsi); }
  result<pci::line_counts> counts(unsigned gsi) override {
    return all_.call<pci::line_counts>("line counts", [&] { return inside_.counts(gsi); });
  }
  result<bool> gives_up_lines() override {
    return all_.call<bool>("noirqdebug", [&] { return inside_.gives_up_lines(); });
  }
  result<void> set_gives_up_lines(bool on) override {
    return all_.call<void>("noirqdebug", [&] { return inside_.set_gives_up_lines(on); });
  }
  result<void> listen(const pci::sbdf& address) override {
    return all_.call<void>("open uio", [&] { return inside_.listen(address); });
  }
  void ignore(const pci::sbdf& address) override {
    all_.quiet("close uio", [&] { inside_.ignore(address); });
  }

private:
  platform::line_interrupts& inside_;
  faults& all_;
};

class faulty_guards final : public platform::removal_guards {
public:
  faulty_guards(platform::host& host, faults& all) : inside_(host.guards()), all_(all) {}
  result<void> arm(const pci::sbdf& address) override {
    return all_.call<void>("arm guard", [&] { return inside_.arm(address); });
  }
  void release(const pci::sbdf& address) override {
    all_.quiet("release guard", [&] { inside_.release(address); });
  }
  void look(const pci::sbdf& address) override {
    all_.quiet("look at guard", [&] { inside_.look(address); });
  }
  pci::guard_state state(const pci::sbdf& address) const override { return inside_.state(address); }
  std::vector<pci::sbdf> guarded() const override { return inside_.guarded(); }

private:
  platform::removal_guards& inside_;
  faults& all_;
};

class records_with_faults final : public platform::records {
public:
  records_with_faults(std::shared_ptr<platform::records> inside, faults& all) : inside_(std::move(inside)), all_(all) {}
  result<std::vector<std::string>> names() override {
    return all_.call<std::vector<std::string>>("journal names", [&] { return inside_->names(); });
  }
  result<std::string> read(const std::string& name) override {
    return all_.call<std::string>("journal read", [&] { return inside_->read(name); });
  }
  result<void> write(const std::string& name, std::string_view text) override {
    if (all_.tears_next()) {
      all_.torn(name, text.substr(0, text.size() / 2));
    }
    return all_.call<void>("journal write", [&] { return inside_->write(name, text); });
  }
  result<void> remove(const std::string& name) override {
    return all_.call<void>("journal remove", [&] { return inside_->remove(name); });
  }
  result<void> doubt(const std::string& name) override {
    return all_.call<void>("journal doubt", [&] { return inside_->doubt(name); });
  }
  bool doubted(const std::string& name) override { return inside_->doubted(name); }
  result<void> set_aside(const std::string& name) override {
    return all_.call<void>("journal set aside", [&] { return inside_->set_aside(name); });
  }
  result<std::shared_ptr<platform::lasting_words>> lasting() override {
    using words = std::shared_ptr<platform::lasting_words>;
    return all_.call<words>("journal words", [&] { return inside_->lasting(); });
  }

private:
  std::shared_ptr<platform::records> inside_;
  faults& all_;
};

} // namespace faulty_calls

using namespace faulty_calls;

const std::vector<int>& faults::errors_of(std::string_view call) {
  static const std::vector<int> none;
  const auto found = error_table().find(call);
  return found == error_table().end() ? none : found->second;
}

void faults::die() {
  if (!std::exchange(dead, true) && died) {
    died();
  }
}

void faults::hang(std::string_view name) {
  stuck(name);
  die();
}

bool faults::tears_next() const {
  const auto planned = plan.find(calls.size() + 1);
  return !dead && planned != plan.end() && planned->second.what == kind::tears;
}

std::optional<faults::event_kind> faults::next_event(std::string_view name) {
  if (dead) {
    return std::nullopt;
  }
  events.emplace_back(name);
  const auto planned = event_plan.find(events.size());
  if (planned == event_plan.end()) {
    return std::nullopt;
  }
  hit.emplace_back(name);
  return planned->second;
}

std::optional<faults::fault> faults::next(std::string_view name) {
  if (dead) {
    return std::nullopt;
  }
  calls.emplace_back(name);
  const auto planned = plan.find(calls.size());
  if (planned == plan.end()) {
    return std::nullopt;
  }
  hit.emplace_back(name);
  if (planned->second.what == kind::ends || planned->second.what == kind::tears) {
    die();
  }
  if (planned->second.what == kind::xenstored_goes) {
    xenstored_goes();
  }
  // After an earlier fault the life is another, and so is this call, which cannot fail like that, perhaps.
  const auto& errors = errors_of(name);
  const bool fails = planned->second.what == kind::error;
  return fails && std::ranges::find(errors, planned->second.error) == errors.end() ? std::nullopt
                                                                                   : std::optional(planned->second);
}

void faulty_sink::store_changed(const std::string& path, const std::string& token) {
  std::erase_if(held_back_, [&](const held& each) { return each.merges == path; });
  pass("watch", path, [this, path, token] { inside_.store_changed(path, token); });
}

void faulty_sink::line_interrupts(std::span<const pci::sbdf> addresses) {
  pass("line", {}, [this, all = std::vector(addresses.begin(), addresses.end())] { inside_.line_interrupts(all); });
}

void faulty_sink::function_error(const pci::sbdf& address, pci::error_severity severity, std::string_view status) {
  pass("error", {},
       [this, address, severity, status = std::string(status)] { inside_.function_error(address, severity, status); });
}

void faulty_sink::driver_unbound(const pci::sbdf& address) {
  pass("unbound", {}, [this, address] { inside_.driver_unbound(address); });
}

void faulty_sink::pass(std::string_view name, const std::string& path, std::function<void()> tell) {
  const auto planned = all_.next_event(name);
  if (planned == faults::event_kind::late || planned == faults::event_kind::merged) {
    const bool merges = planned == faults::event_kind::merged;
    held_back_.push_back({time_.now() + faults::delay, merges ? path : std::string{}, std::move(tell)});
    return;
  }
  tell();
  if (planned == faults::event_kind::doubled) {
    tell();
  }
}

bool faulty_sink::tell_late() {
  std::vector<held> due;
  for (auto& each : held_back_) {
    if (time_.now() >= each.until) {
      due.push_back(std::exchange(each, {}));
    }
  }
  std::erase_if(held_back_, [](const held& each) { return each.tell == nullptr; });
  for (const auto& each : due) {
    each.tell();
  }
  return !due.empty();
}

struct faulty_host::parts {
  parts(platform::host& inside, faults& all)
      : store(inside.xenstore(), all), channels(inside, all), grants(inside, all), xen(inside, all), pci(inside, all),
        lines(inside, all), guards(inside, all) {}
  faulty_store store;
  faulty_channels channels;
  faulty_grants grants;
  faulty_hypervisor xen;
  faulty_pci pci;
  faulty_lines lines;
  faulty_guards guards;
};

faulty_host::faulty_host(platform::host& inside, faults& all)
    : inside_(inside), parts_(std::make_unique<parts>(inside, all)) {}
faulty_host::~faulty_host() = default;

platform::store& faulty_host::xenstore() { return parts_->store; }
platform::event_channels& faulty_host::channels() { return parts_->channels; }
platform::grants& faulty_host::grant_table() { return parts_->grants; }
platform::hypervisor& faulty_host::xen() { return parts_->xen; }
platform::pci_host& faulty_host::pci() { return parts_->pci; }
platform::line_interrupts& faulty_host::lines() { return parts_->lines; }
platform::removal_guards& faulty_host::guards() { return parts_->guards; }

std::shared_ptr<platform::records> faulty_records(std::shared_ptr<platform::records> inside, faults& all) {
  return std::make_shared<records_with_faults>(std::move(inside), all);
}

} // namespace test
