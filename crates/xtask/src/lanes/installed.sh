# Runs inside a fresh Debian, as root: what the packages bring, one release through packaged server and agent, and what is left
# afterwards. Called with a step's name by lanes/installed.rs; every step ends at the first thing that is not so.
set -eu
cd /root
PORT=17440
URL=http://127.0.0.1:$PORT
SERVER_PID=/root/server.pid
AGENT_PID=/root/agent.pid
export TIDEGATE_KEY_DIR=/root/fleet/offline TIDE_PASS='correct horse battery staple' TIDEGATE_PASSPHRASE_ENV=TIDE_PASS HOME=/root

say() { echo "    $*"; }
fail() { echo "    NOT SO: $*"; cat /root/server.log /root/agent.log 2> /dev/null | tail -40; exit 1; }
within() { # SECONDS WHAT COMMAND...
    limit=$1 what=$2; shift 2
    for _ in $(seq "$((limit * 5))"); do if "$@" > /dev/null 2>&1; then return 0; fi; sleep 0.2; done
    fail "$what within $limit s"
}
# Runs what the unit runs, as the user that it names, until it ends.
unit() { # NAME PIDFILE LOG
    user=$(sed -n 's/^User=//p' "/lib/systemd/system/$1.service")
    line=$(sed -n 's/^ExecStart=//p' "/lib/systemd/system/$1.service")
    setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs $line >> "$3" 2>&1 &
    echo $! > "$2"
}
end() { # PIDFILE
    pid=$(cat "$1"); kill "$pid"
    for _ in $(seq 100); do if ! kill -0 "$pid" 2> /dev/null; then return 0; fi; sleep 0.1; done
    fail "process $pid ended"
}
shows() { tidegate --json fleet show device-1 | grep -q "$1"; }

case "$1" in
install)
    dpkg -i /debs/first/*.deb > /dev/null
    for user in tidegate tidegate-agent; do getent passwd $user > /dev/null || fail "user $user"; done
    for file in /usr/bin/tidegate /usr/bin/tidegate-agent /usr/bin/tidegate-guard /lib/systemd/system/tidegate-guard-check@.service; do
        test -e $file || fail "$file"
    done
    say "installed $(dpkg-query -W -f '${Package} ${Version}, ' 'tidegate-*')"
    ;;
serve)
    tidegate trust init --dir fleet --scrypt-log-n 14 --envelope /envelope.toml > /dev/null
    cp -r fleet/server /etc/tidegate/server && chown -R tidegate: /etc/tidegate/server && chmod -R go= /etc/tidegate/server
    sed -i "s/127.0.0.1:7440/127.0.0.1:$PORT/" /etc/tidegate/server.toml
    echo 'check_in = "1s"' >> /etc/tidegate/server.toml
    install -d -o tidegate -g tidegate -m 700 /var/lib/tidegate
    install -d -o tidegate-agent -g tidegate-agent -m 755 /var/lib/tidegate-agent
    unit tidegate-server $SERVER_PID /root/server.log
    within 20 "the packaged server says its login code" grep -q 'Log in once' /root/server.log
    code=$(sed -n 's/.*--code \(.*\)/\1/p' /root/server.log)
    tidegate login $URL --code "$code" > /dev/null
    say "the packaged server answers, as user $(stat -c %U /var/lib/tidegate/tidegate.db)"
    ;;
release)
    tidegate package add site --publisher-key publisher-1 --targets-key targets > /dev/null
    tidegate policy apply /policy.toml --key order --yes > /root/policy.txt 2> /dev/null
    tidegate device token create --key enrolment --ring lab --endpoint $URL --out lab.token > /dev/null
    tidegate-agent install --token lab.token --device device-1 --payload 'site=sleep 600'
    test "$(stat -c '%U %a' /etc/tidegate/token.json)" = "tidegate-agent 600" || fail "the token is the agent's alone"
    unit tidegate-agent $AGENT_PID /root/agent.log
    within 30 "the packaged agent enrols" shows device-1
    mkdir -p build && echo one > build/page
    printf 'downtime = "3s"\nactivation = { kind = "supervise" }\n' > release.toml
    tidegate release stage site 1.0.0 --files build --manifest release.toml --out stage > /dev/null
    tidegate release sign stage --key publisher-1 --yes > /dev/null 2>&1
    tidegate release publish stage > /dev/null
    tidegate rollout start site 1.0.0 --policy "$(sed 's/applied //' policy.txt)" --key order --yes > /dev/null 2>&1
    within 60 "the release is proven on the device" shows '"state":"proven"'
    say "a release went through: $(tidegate-agent status | grep '^site')"
    ;;
upgrade)
    before=$(sha256sum /var/lib/tidegate-agent/device.key)
    dpkg -i /debs/second/*.deb > /dev/null
    end $AGENT_PID; end $SERVER_PID
    unit tidegate-server $SERVER_PID /root/server.log
    unit tidegate-agent $AGENT_PID /root/agent.log
    within 30 "the server that was upgraded knows the device" shows '"state":"proven"'
    test "$(sha256sum /var/lib/tidegate-agent/device.key)" = "$before" || fail "the device keeps its key"
    grep -q 'site' /etc/tidegate/agent.toml || fail "the settings stay"
    say "upgraded to $(dpkg-query -W -f '${Version}' tidegate-agent), and everything was kept"
    ;;
remove)
    end $AGENT_PID; end $SERVER_PID
    mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -sf /lib/systemd/system/tidegate-agent.service /etc/systemd/system/multi-user.target.wants/tidegate-agent.service
    dpkg -r tidegate-server tidegate-agent tidegate-guard > /dev/null
    for file in /usr/bin/tidegate /usr/bin/tidegate-agent /usr/bin/tidegate-guard /lib/systemd/system/tidegate-agent.service; do
        test ! -e $file || fail "$file went"
    done
    for file in /var/lib/tidegate/tidegate.db /var/lib/tidegate-agent/device.key /etc/tidegate/agent.toml; do
        test -e $file || fail "$file stayed"
    done
    say "removed, and records, keys and settings were kept"
    ;;
purge)
    dpkg -P tidegate-server tidegate-agent tidegate-guard > /dev/null
    left=$(find / -xdev \( -path /proc -o -path /root -o -path /debs -o -path /tmp \) -prune -o -name '*tidegate*' -print)
    test -z "$left" || fail "nothing is left: $left"
    if getent passwd tidegate tidegate-agent > /dev/null; then fail "the users went"; fi
    say "purged, and nothing is left"
    ;;
esac
