// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/store_connection.hpp"

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

result<std::string> connection_operations::read(const std::string& path) {
  unsigned length = 0;
  const malloced<void> value{xs_read(connection_, id_, path.c_str(), &length), &std::free};
  if (!value)
    return fail("read", path);
  return std::string(static_cast<const char*>(value.get()), length);
}

result<void> connection_operations::write(const std::string& path, std::string_view value) {
  return checked(xs_write(connection_, id_, path.c_str(), value.data(), static_cast<unsigned>(value.size())), "write",
                 path);
}

result<void> connection_operations::make_directory(const std::string& path) {
  return checked(xs_mkdir(connection_, id_, path.c_str()), "make directory", path);
}

result<void> connection_operations::remove(const std::string& path) {
  return checked(xs_rm(connection_, id_, path.c_str()) || errno == ENOENT, "remove", path);
}

result<std::vector<std::string>> connection_operations::list(const std::string& path) {
  unsigned count = 0;
  const malloced<char*> names{xs_directory(connection_, id_, path.c_str(), &count), &std::free};
  if (!names)
    return fail("list", path);
  return std::vector<std::string>(names.get(), names.get() + count);
}

result<void> connection_operations::set_permissions(const std::string& path, std::span<const node_permission> who) {
  std::vector<xs_permissions> permissions;
  permissions.reserve(who.size());
  for (const auto& one : who)
    permissions.push_back(to_xs(one));
  return checked(
      xs_set_permissions(connection_, id_, path.c_str(), permissions.data(), static_cast<unsigned>(permissions.size())),
      "set permissions of", path);
}

void store_connection::close::operator()(xs_handle* connection) const { xs_close(connection); }

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

bool is_lost_connection(int error) {
  return error == EBADF || error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

store_connection::store_connection(handle requests, handle watches, int watch_descriptor,
                                   const watch_extensions& library)
    : requests_(std::move(requests)), watches_(std::move(watches)), watch_descriptor_(watch_descriptor),
      library_(library.limit_depth(requests_.get()) ? library : watch_extensions{}) {}

result<std::shared_ptr<store_connection>> store_connection::open(const watch_extensions& library) {
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
  return std::shared_ptr<store_connection>(
      new store_connection(std::move(requests), std::move(watches), descriptor, library));
}

result<void> store_connection::watch(const std::string& path, const std::string& token, unsigned depth) const {
  const bool watched = depth != platform::store::any_depth && library_.watch != nullptr
                           ? library_.watch(watches_.get(), path.c_str(), token.c_str(), depth)
                           : xs_watch(watches_.get(), path.c_str(), token.c_str());
  return checked(watched, "watch", path);
}

result<void> store_connection::unwatch(const std::string& path, const std::string& token) const {
  return checked(xs_unwatch(watches_.get(), path.c_str(), token.c_str()), "unwatch", path);
}

result<void> store_connection::next_event(const watch_handler& deliver) const {
  const malloced<char*> event{xs_check_watch(watches_.get()), &std::free};
  if (event) {
    deliver(event.get()[XS_WATCH_PATH], event.get()[XS_WATCH_TOKEN]);
    return {};
  }
  if (errno == EAGAIN)
    return pci::fail(EAGAIN, "xenstore: no event is waiting");
  return pci::fail(ENOTCONN, "xenstore: the connection is lost");
}

result<void> connection_operations::transact(const std::function<result<void>(store_operations&)>& body,
                                             unsigned attempts) {
  for (unsigned attempt = 0; attempt < attempts; ++attempt) {
    const xs_transaction_t id = xs_transaction_start(connection_);
    if (id == XBT_NULL)
      return fail("start", "a transaction");
    connection_operations inside{connection_, id};
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

} // namespace platform::xen
