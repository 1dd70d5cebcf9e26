// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/quiet.hpp"

extern "C" {
#include <xentoollog.h>
}

namespace platform::xen {
namespace {

void swallow_message(xentoollog_logger*, xentoollog_level, int, const char*, const char*, va_list) {}
void swallow_progress(xentoollog_logger*, const char*, const char*, int, unsigned long, unsigned long) {}
void keep(xentoollog_logger*) {}

} // namespace

xentoollog_logger* quiet() {
  static xentoollog_logger logger{&swallow_message, &swallow_progress, &keep};
  return &logger;
}

} // namespace platform::xen
