#include "two_hosts.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

namespace tern::network {
namespace {

using Clock = std::chrono::steady_clock;

std::string reason(const std::string& what) { return what + ": " + std::strerror(errno); }

bool write_file(const char* name, const std::string& text) {
    std::ofstream file(name);
    file << text << std::flush;
    return file.good();
}

/// In the namespace of the calling thread.
bool command(const std::string& line) { return std::system((line + " >/dev/null 2>&1").c_str()) == 0; }

/// A device in the namespace of the calling thread, and the packets that are sent through it.
int open_tun() {
    const int descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return -1;
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    std::strncpy(request.ifr_name, TwoHosts::device, sizeof(request.ifr_name) - 1);
    if (ioctl(descriptor, TUNSETIFF, &request) == 0) return descriptor;
    close(descriptor);
    return -1;
}

bool configure(const std::vector<std::string>& addresses) {
    const std::string device = TwoHosts::device;
    bool done = command("ip link set lo up") && command("ip link set " + device + " up");
    for (const std::string& each : addresses) {
        // Without IPv6 the tests for it fail by themselves.
        const bool ipv6 = each.find(':') != each.npos;
        const bool added = command("ip address add " + each + " dev " + device + (ipv6 ? " nodad" : ""));
        done = done && (added || ipv6);
    }
    return done;
}

std::string address_bytes(const std::string& text) {
    std::array<char, 16> bytes{};
    if (inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return {bytes.data(), 4};
    if (inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return {bytes.data(), 16};
    return {};
}

}  // namespace

// --- the other host ------------------------------------------------------------------------------------------------

Elsewhere::Elsewhere() : thread_([this] { loop(); }) {}

Elsewhere::~Elsewhere() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

void Elsewhere::run(const std::function<void()>& work) {
    std::unique_lock lock(mutex_);
    work_ = &work;
    changed_.notify_all();
    changed_.wait(lock, [this] { return work_ == nullptr; });
}

void Elsewhere::loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return work_ != nullptr || ending_; });
        if (ending_) return;
        (*work_)();
        work_ = nullptr;
        changed_.notify_all();
    }
}

// --- the network ---------------------------------------------------------------------------------------------------

TwoHosts::TwoHosts() {
    missing_ = set_up();
    if (missing_.empty()) carrier_ = std::thread([this] { carry(); });
}

TwoHosts::~TwoHosts() {
    if (carrier_.joinable()) {
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        eventfd_write(wake_, 1);
        carrier_.join();
    }
    for (const int end : {ends_[0], ends_[1], wake_}) {
        if (end >= 0) close(end);
    }
}

std::string TwoHosts::set_up() {
    const uid_t user = geteuid();
    const gid_t group = getegid();
    const int as_user = user == 0 ? 0 : CLONE_NEWUSER;
    if (unshare(as_user | CLONE_NEWNET | CLONE_NEWNS) != 0) return reason("unshare");
    if (user != 0 && !(write_file("/proc/self/uid_map", "0 " + std::to_string(user) + " 1") &&
                       write_file("/proc/self/setgroups", "deny") &&
                       write_file("/proc/self/gid_map", "0 " + std::to_string(group) + " 1"))) {
        return "the user cannot be mapped";
    }
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return reason("mount");
    wake_ = eventfd(0, EFD_CLOEXEC);
    ends_[0] = open_tun();
    if (ends_[0] < 0) return reason("/dev/net/tun");
    if (!configure({std::string(here) + "/24", "fd77::1/64"})) return "the ip command failed";

    elsewhere_ = std::make_unique<Elsewhere>();
    std::string missing;
    elsewhere_->run([&] {
        if (unshare(CLONE_NEWNET) != 0) missing = reason("unshare");
        if (missing.empty() && (ends_[1] = open_tun()) < 0) missing = reason("/dev/net/tun");
        if (missing.empty() && !configure({std::string(there) + "/24", std::string(also_there) + "/24",
                                           std::string(there_ipv6) + "/64"})) {
            missing = "the ip command failed";
        }
    });
    return missing;
}

void TwoHosts::set(const Weather& weather) {
    const std::lock_guard lock(mutex_);
    weather_ = weather;
    black_holes_.clear();
    for (const std::string& each : weather.black_holes) black_holes_.push_back(address_bytes(each));
}

bool TwoHosts::set_link(bool up) { return command(std::string("ip link set ") + device + (up ? " up" : " down")); }

// --- the wire ------------------------------------------------------------------------------------------------------

void TwoHosts::carry() {
    for (;;) {
        std::array<pollfd, 3> waiting{{{ends_[0], POLLIN, 0}, {ends_[1], POLLIN, 0}, {wake_, POLLIN, 0}}};
        poll(waiting.data(), waiting.size(), deliver_due());
        const std::lock_guard lock(mutex_);
        if (ending_) return;
        take(ends_[0], ends_[1]);
        take(ends_[1], ends_[0]);
    }
}

void TwoHosts::take(int from, int to) {
    std::array<char, 65'536> memory;
    for (ssize_t size = 0; (size = read(from, memory.data(), memory.size())) > 0;) {
        std::string packet(memory.data(), static_cast<std::size_t>(size));
        if (survives(packet)) on_the_way_.push_back({Clock::now() + weather_.delay, to, std::move(packet)});
    }
}

/// Returns how many milliseconds are left until the next is due.
int TwoHosts::deliver_due() {
    while (!on_the_way_.empty()) {
        const Packet& next = on_the_way_.front();
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next.due - Clock::now());
        if (left.count() > 0) return static_cast<int>(left.count());
        // A device that is down refuses it, and that is the packet's end.
        [[maybe_unused]] const auto ignored = write(next.to, next.bytes.data(), next.bytes.size());
        on_the_way_.pop_front();
    }
    return -1;
}

bool TwoHosts::survives(const std::string& packet) {
    if (weather_.dead || packet.size() > weather_.largest) return false;
    if (weather_.loss > 0 && dice_() % 100 < weather_.loss) return false;
    const bool ipv6 = (static_cast<unsigned char>(packet[0]) >> 4u) == 6;
    const std::size_t source = ipv6 ? 8 : 12;
    const std::size_t size = ipv6 ? 16 : 4;
    return std::none_of(black_holes_.begin(), black_holes_.end(), [&](const std::string& hole) {
        return hole == packet.substr(source, size) || hole == packet.substr(source + size, size);
    });
}

bool use_name_server(const std::string& address) {
    std::string name = "/tmp/tern-resolv-XXXXXX";
    const int descriptor = mkstemp(name.data());
    if (descriptor < 0) return false;
    close(descriptor);
    // The mount namespace is ours, so nobody else sees it; and the mount keeps the file when its name is gone.
    const bool done = write_file(name.c_str(), "nameserver " + address + "\noptions timeout:30 attempts:1\n") &&
                      mount(name.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0;
    unlink(name.c_str());
    return done;
}

}  // namespace tern::network
