// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/sysfs/mount.hpp"

#define FUSE_USE_VERSION 312

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <fuse3/fuse.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/vfs.h>

namespace sysfs_program {
namespace {

// Toolstacks work one at a time; a hold may take a minute and must not keep the others waiting.
constexpr unsigned most_threads = 12;

const tree& the_tree() { return *static_cast<const tree*>(fuse_get_context()->private_data); }

/// Errors are negative here, and nothing may be thrown into C.
template <class Work>
int guarded(Work work) noexcept {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  } catch (...) {
    return -EIO;
  }
}

int error_of(const pci::failure& why) {
  if (why.error != ENOENT) {
    // The words are for the service's log: the caller gets the number alone.
    fmt::print(stderr, "{}\n", why.context);
    static_cast<void>(std::fflush(stderr));
  }
  return -(why.error > 0 ? why.error : EIO);
}

/// What is behind a file handle: the content as it was when the file was opened.
std::string* content_of(const fuse_file_info* file) {
  return reinterpret_cast<std::string*>(file->fh); // NOLINT(performance-no-int-to-ptr): libfuse keeps an integer
}

int get_attributes(const char* path, struct stat* into, fuse_file_info* /*file*/) {
  return guarded([&] {
    const auto is = the_tree().status(path);
    if (!is) {
      return error_of(is.error());
    }
    *into = *is;
    return 0;
  });
}

int read_link(const char* path, char* into, std::size_t size) {
  return guarded([&] {
    const auto target = the_tree().link(path);
    if (!target) {
      return error_of(target.error());
    }
    const auto length = std::min(target->size(), size - 1);
    std::copy_n(target->data(), length, into);
    into[length] = '\0';
    return 0;
  });
}

int read_directory(const char* path, void* into, fuse_fill_dir_t fill, off_t /*offset*/, fuse_file_info* /*file*/,
                   fuse_readdir_flags /*flags*/) {
  return guarded([&] {
    const auto names = the_tree().list(path);
    if (!names) {
      return error_of(names.error());
    }
    for (const auto* dots : {".", ".."}) {
      fill(into, dots, nullptr, 0, fuse_fill_dir_flags{});
    }
    for (const auto& name : *names) {
      fill(into, name.c_str(), nullptr, 0, fuse_fill_dir_flags{});
    }
    return 0;
  });
}

int open_file(const char* path, fuse_file_info* file) {
  return guarded([&] {
    auto content = std::make_unique<std::string>();
    if ((file->flags & O_ACCMODE) == O_RDONLY) {
      auto text = the_tree().read(path);
      if (!text) {
        return error_of(text.error());
      }
      *content = std::move(*text);
    }
    file->direct_io = 1;
    file->fh = reinterpret_cast<std::uint64_t>(content.release());
    return 0;
  });
}

int read_file(const char* /*path*/, char* into, std::size_t size, off_t offset, fuse_file_info* file) {
  const auto& content = *content_of(file);
  const auto from = static_cast<std::size_t>(offset);
  if (from >= content.size()) {
    return 0;
  }
  const auto count = std::min(size, content.size() - from);
  std::copy_n(content.data() + from, count, into);
  return static_cast<int>(count);
}

int write_file(const char* path, const char* from, std::size_t size, off_t /*offset*/, fuse_file_info* /*file*/) {
  return guarded([&] {
    constexpr std::size_t page = 4096; // sysfs takes no more at once
    const auto taken = std::min(size, page);
    const auto done = the_tree().write(path, std::string(from, taken));
    return done ? static_cast<int>(taken) : error_of(done.error());
  });
}

int close_file(const char* /*path*/, fuse_file_info* file) {
  delete content_of(file);
  return 0;
}

// A shell's > truncates first, which in sysfs does nothing.
int truncate_file(const char* /*path*/, off_t /*size*/, fuse_file_info* /*file*/) { return 0; }

// What the daemon holds changes behind the kernel's back, so nothing is kept.
void* begin(fuse_conn_info* /*connection*/, fuse_config* configuration) {
  configuration->entry_timeout = configuration->attr_timeout = configuration->negative_timeout = 0;
  configuration->direct_io = 1;
  return fuse_get_context()->private_data;
}

fuse_operations operations() {
  fuse_operations all{};
  all.getattr = get_attributes;
  all.readlink = read_link;
  all.readdir = read_directory;
  all.open = open_file;
  all.read = read_file;
  all.write = write_file;
  all.release = close_file;
  all.truncate = truncate_file;
  all.init = begin;
  return all;
}

pci::result<void> make_room(const std::string& mount_point) {
  struct statfs is {};
  if (::statfs(mount_point.c_str(), &is) == 0) {
    return is.f_type == FUSE_SUPER_MAGIC ? pci::fail(EBUSY, mount_point + " is served already") : pci::result<void>{};
  }
  if (errno == ENOTCONN && ::umount2(mount_point.c_str(), MNT_DETACH) != 0) {
    return pci::fail(errno, mount_point + " cannot be unmounted");
  }
  std::error_code wrong;
  std::filesystem::create_directories(mount_point, wrong);
  return wrong ? pci::fail(wrong.value(), mount_point) : pci::result<void>{};
}

struct destroyer {
  void operator()(fuse* what) const { fuse_destroy(what); }
  void operator()(fuse_loop_config* what) const { fuse_loop_cfg_destroy(what); }
};

/// Mounted while it lives.
class mounted {
public:
  mounted(fuse* what, const std::string& where) : what_(what), done_(fuse_mount(what, where.c_str()) == 0) {}
  mounted(const mounted&) = delete;
  mounted& operator=(const mounted&) = delete;
  ~mounted() {
    if (done_) {
      fuse_unmount(what_);
    }
  }
  [[nodiscard]] bool done() const { return done_; }

private:
  fuse* what_;
  bool done_;
};

pci::result<void> serve_requests(fuse* served) {
  auto* session = fuse_get_session(served);
  if (fuse_set_signal_handlers(session) != 0) {
    return pci::fail(EIO, "no signal handlers");
  }
  const std::unique_ptr<fuse_loop_config, destroyer> loop(fuse_loop_cfg_create());
  fuse_loop_cfg_set_max_threads(loop.get(), most_threads);
  const int ended = fuse_loop_mt(served, loop.get());
  fuse_remove_signal_handlers(session);
  // A signal's number means an orderly end.
  return ended < 0 ? pci::fail(-ended, "FUSE ended") : pci::result<void>{};
}

} // namespace

pci::result<void> serve(const tree& what, const std::string& mount_point, const std::function<void()>& ready) {
  if (auto room = make_room(mount_point); !room) {
    return room;
  }
  // Without allow_other: as the daemon's socket, it is root's alone.
  std::array<std::string, 3> words{"pcibackd-sysfs", "-o", "fsname=pcibackd,subtype=sysfs,default_permissions"};
  std::array<char*, 3> pointers{words[0].data(), words[1].data(), words[2].data()};
  fuse_args arguments = FUSE_ARGS_INIT(static_cast<int>(pointers.size()), pointers.data());
  const auto calls = operations();
  const std::unique_ptr<fuse, destroyer> served(fuse_new(&arguments, &calls, sizeof calls, const_cast<tree*>(&what)));
  fuse_opt_free_args(&arguments);
  if (!served) {
    return pci::fail(EIO, "FUSE did not start");
  }
  const mounted here(served.get(), mount_point);
  if (!here.done()) {
    return pci::fail(errno, fmt::format("{} cannot be mounted; is the kernel's module fuse there?", mount_point));
  }
  ready();
  return serve_requests(served.get());
}

} // namespace sysfs_program
