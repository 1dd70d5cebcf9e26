// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/store.hpp"

#include <cerrno>
#include <cstdlib>

#include <dlfcn.h>
#include <fcntl.h>

#include <fmt/format.h>

extern "C" {
#include <xenstore.h>
}

namespace platform::xen {
namespace {

template <class T>
using malloced = std::unique_ptr<T, decltype(&std::free)>;

tl::unexpected<failure> fail(std::string_view what, const std::string& path) {
  const int error = errno != 0 ? errno : EIO;
  return pci::fail(error, fmt::format("xenstore: {} {}", what, path));
}

result<void> checked(bool done, std::string_view what, const std::string& path) {
  if (done)
    return {};
  return fail(what, path);
}

xs_permissions to_xs(const node_permission& who) {
  unsigned allowed = XS_PERM_NONE;
  if (who.read)
    allowed |= XS_PERM_READ;
  if (who.write)
    allowed |= XS_PERM_WRITE;
  return {.id = who.domid, .perms = allowed};
}

} // namespace

template <class Interface>
result<std::string> connection_operations<Interface>::read(const std::string& path) {
  unsigned length = 0;
  const malloced<void> value{xs_read(connection_, id_, path.c_str(), &length), &std::free};
  if (!value)
    return fail("read", path);
  return std::string(static_cast<const char*>(value.get()), length);
}

template <class Interface>
result<void> connection_operations<Interface>::write(const std::string& path, std::string_view value) {
  return checked(xs_write(connection_, id_, path.c_str(), value.data(), static_cast<unsigned>(value.size())), "write",
                 path);
}

template <class Interface>
result<void> connection_operations<Interface>::make_directory(const std::string& path) {
  return checked(xs_mkdir(connection_, id_, path.c_str()), "make directory", path);
}

template <class Interface>
result<void> connection_operations<Interface>::remove(const std::string& path) {
  return checked(xs_rm(connection_, id_, path.c_str()) || errno == ENOENT, "remove", path);
}

template <class Interface>
result<std::vector<std::string>> connection_operations<Interface>::list(const std::string& path) {
  unsigned count = 0;
  const malloced<char*> names{xs_directory(connection_, id_, path.c_str(), &count), &std::free};
  if (!names)
    return fail("list", path);
  return std::vector<std::string>(names.get(), names.get() + count);
}

template <class Interface>
result<void> connection_operations<Interface>::set_permissions(const std::string& path,
                                                               std::span<const node_permission> who) {
  std::vector<xs_permissions> permissions;
  permissions.reserve(who.size());
  for (const auto& one : who)
    permissions.push_back(to_xs(one));
  return checked(
      xs_set_permissions(connection_, id_, path.c_str(), permissions.data(), static_cast<unsigned>(permissions.size())),
      "set permissions of", path);
}

template class connection_operations<platform::store>;
template class connection_operations<store_operations>;

void store::close::operator()(xs_handle* connection) const { xs_close(connection); }

watch_extensions watch_extensions::found() {
  watch_extensions library;
  library.features = reinterpret_cast<decltype(library.features)>(::dlsym(RTLD_DEFAULT, "xs_get_features_supported"));
  library.watch = reinterpret_cast<decltype(library.watch)>(::dlsym(RTLD_DEFAULT, "xs_watch_depth"));
  return library;
}

bool watch_extensions::limit_depth(xs_handle* connection) const {
  constexpr unsigned watch_depth = 4; // XENSTORE_SERVER_FEATURE_WATCHDEPTH, which older headers lack
  unsigned supported = 0;
  return watch != nullptr && features != nullptr && features(connection, &supported) && (supported & watch_depth) != 0;
}

store::store(handle requests, handle watches, int watch_descriptor, const watch_extensions& library)
    : connection_operations(requests.get(), XBT_NULL), requests_(std::move(requests)), watches_(std::move(watches)),
      watch_descriptor_(watch_descriptor),
      library_(library.limit_depth(requests_.get()) ? library : watch_extensions{}) {}

result<std::unique_ptr<store>> store::open(const watch_extensions& library) {
  handle requests{xs_open(0)};
  if (!requests)
    return fail("connect to", "xenstored");
  // Not with XS_UNWATCH_FILTER: it leaks the events that it drops, as many as a guest cares to cause.
  handle watches{xs_open(0)};
  if (!watches)
    return fail("connect to", "xenstored");
  const int descriptor = xs_fileno(watches.get());
  if (descriptor < 0 || ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0)
    return fail("open the watches of", "xenstored");
  return std::unique_ptr<store>(new store(std::move(requests), std::move(watches), descriptor, library));
}

result<void> store::transact(const std::function<result<void>(store_operations&)>& body, unsigned attempts) {
  for (unsigned attempt = 0; attempt < attempts; ++attempt) {
    const xs_transaction_t id = xs_transaction_start(connection_);
    if (id == XBT_NULL)
      return fail("start", "a transaction");
    connection_operations<store_operations> inside{connection_, id};
    if (auto done = body(inside); !done) {
      xs_transaction_end(connection_, id, true);
      return done;
    }
    if (xs_transaction_end(connection_, id, false))
      return {};
    if (errno != EAGAIN)
      return fail("commit", "a transaction");
  }
  return pci::fail(EAGAIN, fmt::format("xenstore: {} transactions in a row were overtaken", attempts));
}

result<void> store::watch(const std::string& path, const std::string& token, unsigned depth) {
  // Before xenstored knows of it, as the first event comes at once.
  if (const std::lock_guard lock(mutex_); !tokens_.insert(token).second)
    return pci::fail(EEXIST, fmt::format("xenstore: watch {}: the token {} is in use", path, token));
  const bool watched = depth != any_depth && library_.watch != nullptr
                           ? library_.watch(watches_.get(), path.c_str(), token.c_str(), depth)
                           : xs_watch(watches_.get(), path.c_str(), token.c_str());
  auto done = checked(watched, "watch", path);
  if (!done)
    forget(token);
  return done;
}

result<void> store::unwatch(const std::string& path, const std::string& token) {
  forget(token);
  return checked(xs_unwatch(watches_.get(), path.c_str(), token.c_str()), "unwatch", path);
}

void store::forget(const std::string& token) {
  const std::lock_guard lock(mutex_);
  tokens_.erase(token);
}

void store::pass_on(char** event, const watch_handler& deliver) {
  const std::lock_guard lock(mutex_);
  if (tokens_.contains(event[XS_WATCH_TOKEN]))
    deliver(event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
}

result<void> store::drain_watches(const watch_handler& deliver, unsigned limit) {
  for (unsigned taken = 0; taken < limit; ++taken) {
    const malloced<char*> event{xs_check_watch(watches_.get()), &std::free};
    if (event)
      pass_on(event.get(), deliver);
    else if (errno == EAGAIN)
      return {};
    else
      return pci::fail(ENOTCONN, "xenstore: the connection is lost");
  }
  return {};
}

} // namespace platform::xen
