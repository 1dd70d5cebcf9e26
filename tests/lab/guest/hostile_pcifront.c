// SPDX-License-Identifier: GPL-2.0-or-later
// A frontend that means harm, in the kernel of a guest with two processors whose xen-pcifront is not loaded. Each of
// two threads keeps a processor busy, in rounds of four attacks of some seconds:
//   page        random bytes all over the shared page; fields that change between the flag and the answer; an event
//   each interrupts  MSI-X on and off as fast as it is answered, while the other thread resets the card by its own
//   register nodes       every state and senseless values in the frontend's directory, and events without a word in
//   between grants      pages that are another's, somebody else's, nobody's; the frontend starts over again and again
// Before each round it connects as a decent frontend does, and counts what it was answered.
//   insmod hostile_pcifront.ko seconds=N [harmless=1]    harmless: the processors are kept busy, and that is all
// At its end it says "hostile: done, ..." in the kernel's log. Source of the protocol: xen/interface/io/pciif.h.
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <xen/events.h>
#include <xen/grant_table.h>
#include <xen/interface/event_channel.h>
#include <xen/interface/io/pciif.h>
#include <xen/interface/io/xenbus.h>
#include <xen/page.h>
#include <xen/xenbus.h>

#define DIRECTORY "device/pci/0"

enum { PROCESSORS = 2, ATTACKS = 4, VECTORS = 2, PATIENCE_MS = 5000, REGISTERS = 0x1000, DEVICE_CONTROL = 0 };
#define DEVICE_RESET (1u << 26) // of the e1000e's control register

static unsigned int seconds = 60;
module_param(seconds, uint, 0444);
MODULE_PARM_DESC(seconds, "how long it goes on");
static unsigned int turn_seconds = 5;
module_param(turn_seconds, uint, 0444);
MODULE_PARM_DESC(turn_seconds, "how long each attack takes");
static bool harmless;
module_param(harmless, bool, 0444);
MODULE_PARM_DESC(harmless, "keep the processors busy, and do nothing else");

static struct xen_pci_sharedinfo* page;
static grant_ref_t grant;
static evtchn_port_t port;
static char* backend;
static void __iomem* card;
static unsigned long end;      // of all, in jiffies
static unsigned long turn_end; // of this attack
static int attack;
static bool finished;
static atomic_t waiting; // threads that have finished this attack
static struct task_struct* threads[PROCESSORS];
static struct rnd_state dice[PROCESSORS];
static unsigned long connections, answered, unanswered, switched, events, nodes, resets;

static bool is_over(void) { return kthread_should_stop() || time_after(jiffies, turn_end); }

static u32 any(int self) { return prandom_u32_state(&dice[self]); }

static void send_event(void) {
  notify_remote_via_evtchn(port);
  ++events;
}

static void write_node(const char* name, const char* value) {
  (void)xenbus_printf(XBT_NIL, DIRECTORY, name, "%s", value);
  ++nodes;
}

static void write_number(const char* name, unsigned int value) {
  (void)xenbus_printf(XBT_NIL, DIRECTORY, name, "%u", value);
  ++nodes;
}

// Has the backend carry an operation out, as a decent frontend does; returns its error, or -ETIMEDOUT.
static int perform(struct xen_pci_op* op) {
  const unsigned long patience = jiffies + msecs_to_jiffies(PATIENCE_MS);
  page->op = *op;
  wmb();
  set_bit(_XEN_PCIF_active, (unsigned long*)&page->flags);
  send_event();
  while (test_bit(_XEN_PCIF_active, (unsigned long*)&page->flags)) {
    if (time_after(jiffies, patience) || kthread_should_stop()) {
      ++unanswered;
      return -ETIMEDOUT;
    }
    cond_resched();
  }
  ++answered;
  *op = page->op;
  return op->err;
}

static int read_register(int offset, u32* value) {
  struct xen_pci_op op = {.cmd = XEN_PCI_OP_conf_read, .offset = offset, .size = 4};
  const int failed = perform(&op);
  *value = op.value;
  return failed;
}

static void publish(unsigned int reference, unsigned int channel) {
  write_number("pci-op-ref", reference);
  write_number("event-channel", channel);
  write_node("magic", XEN_PCI_MAGIC);
  write_number("state", XenbusStateInitialised);
}

static void wait_for_backend(enum xenbus_state wanted) {
  const unsigned long patience = jiffies + msecs_to_jiffies(PATIENCE_MS);
  int state = 0;
  while (time_before(jiffies, patience) && state != wanted && !kthread_should_stop()) {
    msleep(20);
    (void)xenbus_scanf(XBT_NIL, backend, "state", "%d", &state);
  }
}

// Connects, and finds the card's registers. Whatever state the backend was brought to, it begins at the beginning.
static void connect(void) {
  u32 address;
  struct xen_pci_op decode = {.cmd = XEN_PCI_OP_conf_write, .offset = 4, .size = 2, .value = 6};
  memset(page, 0, PAGE_SIZE);
  write_number("state", XenbusStateInitialising);
  wait_for_backend(XenbusStateInitWait);
  publish(grant, port);
  wait_for_backend(XenbusStateConnected);
  write_number("state", XenbusStateConnected);
  if (read_register(0x10, &address))
    return;
  ++connections;
  perform(&decode);
  if (!card && (address & ~0xfu))
    card = ioremap(address & ~0xfu, REGISTERS);
}

static void scribble(int self) {
  u32* words = (u32*)page;
  while (!is_over()) {
    int i;
    for (i = 0; i < 64; ++i)
      WRITE_ONCE(words[any(self) % (sizeof *page / sizeof *words)], any(self));
    set_bit(_XEN_PCIF_active, (unsigned long*)&page->flags);
    send_event();
    cond_resched();
  }
}

static void change_in_between(int self) {
  while (!is_over()) {
    int i;
    page->op.cmd = XEN_PCI_OP_conf_read;
    page->op.offset = any(self) % 256 & ~3u;
    page->op.size = 4;
    set_bit(_XEN_PCIF_active, (unsigned long*)&page->flags);
    send_event();
    for (i = 0; i < 200; ++i) {
      WRITE_ONCE(page->op.cmd, any(self) % 9);
      WRITE_ONCE(page->op.offset, (int)any(self));
      WRITE_ONCE(page->op.value, any(self));
      WRITE_ONCE(page->op.size, any(self) % 9);
    }
    cond_resched();
  }
}

static void toggle(int self) {
  while (!is_over()) {
    struct xen_pci_op on = {.cmd = XEN_PCI_OP_enable_msix, .value = VECTORS};
    struct xen_pci_op off = {.cmd = XEN_PCI_OP_disable_msix};
    u32 value;
    int i;
    for (i = 0; i < VECTORS; ++i)
      on.msix_entries[i].entry = i;
    if (!perform(&on))
      ++switched;
    (void)read_register(any(self) % 64 & ~3u, &value);
    (void)perform(&off);
  }
}

static void reset_card(void) {
  while (!is_over()) {
    if (card) {
      writel(readl(card + DEVICE_CONTROL) | DEVICE_RESET, card + DEVICE_CONTROL);
      ++resets;
    }
    cond_resched();
  }
}

// A frontend whose state is none has gone for its backend: that comes last, or the other attacks would come to nothing.
static void misname(int self) {
  const bool is_last = time_after(jiffies + ATTACKS * turn_seconds * HZ, end);
  static const char* const values[] = {"0", "1",  "2", "3",          "4",  "5",   "6",  "7",
                                       "8", "-1", "",  "4294967296", "4 ", "0x4", "\n", "%n%s"};
  static const char* const names[] = {"state",  "pci-op-ref", "event-channel", "magic",
                                      "online", "num_devs",   "dev-0",         "nonsense"};
  while (!is_over()) {
    const unsigned int least = is_last ? 0 : 1; // of names, whose first is the state, and of states
    write_node(names[least + any(self) % (ARRAY_SIZE(names) - least)], values[any(self) % ARRAY_SIZE(values)]);
    write_number("state", least + any(self) % 8);
    if (any(self) % 8 == 0)
      (void)xenbus_rm(XBT_NIL, DIRECTORY, names[least + any(self) % (ARRAY_SIZE(names) - least)]);
  }
}

static void flood(void) {
  while (!is_over()) {
    send_event();
    cond_resched();
  }
}

static void misgrant(int self) {
  while (!is_over()) {
    // The first are of the console, xenstore and whatever else this guest has granted; the others nobody's.
    publish(any(self) % 2 ? any(self) % 64 : any(self), any(self) % 2 ? any(self) % 64 : port);
    write_number("state", XenbusStateConnected);
    publish(grant, port);
    write_number("state", XenbusStateConnected);
  }
}

static void strike(int self) {
  switch (attack) {
  case 0:
    self == 0 ? scribble(self) : change_in_between(self);
    return;
  case 1:
    self == 0 ? toggle(self) : reset_card();
    return;
  case 2:
    self == 0 ? misname(self) : flood();
    return;
  default:
    self == 0 ? misgrant(self) : scribble(self);
    return;
  }
}

// Both threads come to the end of an attack before the first of them begins the next.
static void meet(int self) {
  atomic_inc(&waiting);
  if (self != 0) {
    while (atomic_read(&waiting) != 0 && !kthread_should_stop())
      cond_resched();
    return;
  }
  while (atomic_read(&waiting) < PROCESSORS && !kthread_should_stop())
    cond_resched();
  finished = time_after(jiffies, end);
  if (!harmless && !finished)
    connect();
  attack = (attack + 1) % ATTACKS;
  turn_end = jiffies + turn_seconds * HZ;
  atomic_set(&waiting, 0);
}

static int run(void* number) {
  const int self = (int)(long)number;
  meet(self);
  while (!kthread_should_stop() && !finished) {
    if (!harmless)
      strike(self);
    while (!is_over())
      cond_resched();
    meet(self);
  }
  if (self == 0)
    pr_info("hostile: done, %lu connections, %lu answers, %lu unanswered, %lu times MSI-X, %lu events, %lu nodes, %lu "
            "resets\n",
            connections, answered, unanswered, switched, events, nodes, resets);
  while (!kthread_should_stop())
    msleep(100);
  return 0;
}

static int open_channel(void) {
  struct evtchn_alloc_unbound wanted = {.dom = DOMID_SELF, .remote_dom = 0};
  const int failed = HYPERVISOR_event_channel_op(EVTCHNOP_alloc_unbound, &wanted);
  int granted;
  if (failed)
    return failed;
  port = wanted.port;
  backend = xenbus_read(XBT_NIL, DIRECTORY, "backend", NULL);
  if (IS_ERR(backend))
    return PTR_ERR(backend);
  page = (struct xen_pci_sharedinfo*)get_zeroed_page(GFP_KERNEL);
  if (!page)
    return -ENOMEM;
  granted = gnttab_grant_foreign_access(0, virt_to_gfn(page), 0);
  if (granted < 0)
    return granted;
  grant = granted;
  return 0;
}

static int __init begin(void) {
  const int failed = open_channel();
  int i;
  if (failed)
    return failed;
  attack = ATTACKS - 1;
  end = jiffies + seconds * HZ;
  for (i = 0; i < PROCESSORS; ++i) {
    prandom_seed_state(&dice[i], get_random_u32());
    threads[i] = kthread_create(run, (void*)(long)i, "hostile/%d", i);
    if (IS_ERR(threads[i])) {
      while (i-- > 0)
        kthread_stop(threads[i]);
      return -ENOMEM;
    }
    kthread_bind(threads[i], i % num_online_cpus());
  }
  for (i = 0; i < PROCESSORS; ++i)
    wake_up_process(threads[i]);
  return 0;
}

// Leaves in order. Its page stays granted: nobody says when the backend has let go of it.
static void __exit leave(void) {
  struct evtchn_close close = {.port = port};
  int i;
  for (i = 0; i < PROCESSORS; ++i)
    kthread_stop(threads[i]);
  if (!harmless) {
    write_number("state", XenbusStateClosing);
    write_number("state", XenbusStateClosed);
  }
  if (card)
    iounmap(card);
  (void)HYPERVISOR_event_channel_op(EVTCHNOP_close, &close);
  kfree(backend);
}

module_init(begin);
module_exit(leave);
MODULE_DESCRIPTION("a hostile PCI frontend");
MODULE_LICENSE("GPL");
