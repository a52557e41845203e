# A server on a disk that fills up, and then cannot be written at all. In a mount namespace of its own: unshare -rm sh disk.sh TRIGGERFISH HELLO DIR
set -eu
triggerfish=$1 hello=$2 dir=$3
mount -t tmpfs -o size=14m tmpfs "$dir"
dd if=/dev/zero of="$dir/ballast" bs=1M count=4 2>/dev/null
"$triggerfish" serve --data-dir "$dir/data" --http-address 127.0.0.1:0 --kube-address 127.0.0.1:0 --notification-address 127.0.0.1:0 --receiver-address 127.0.0.1:0 --without-engine 2>"$dir/../log" &
server=$!
trap 'kill $server' EXIT
until [ -s "$dir/data/http-address" ]; do kill -0 $server; done
"$triggerfish" apply --data-dir "$dir/data" -f "$hello" >/dev/null
"$triggerfish" apply --data-dir "$dir/data" -f - >/dev/null <<'ACCOUNT'
apiVersion: v1
kind: ServiceAccount
metadata: {name: all, namespace: argo}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: all}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: all, namespace: argo}]
ACCOUNT
authorization="Authorization: Bearer $("$triggerfish" token --data-dir "$dir/data" -n argo all)"
server_url=http://$(cat "$dir/data/http-address")
printf '{"message":"%020000d"}' 0 >"$dir/../body"
post() { curl -s -o "$dir/../answer" -w '%{http_code}' -H "$authorization" --data-binary "@$dir/../body" "$server_url/api/v1/events/argo/"; }
accepted=0
while [ $accepted -lt 2000 ] && code=$(post) && [ "$code" = 200 ]; do accepted=$((accepted + 1)); done
echo "refused: $code $(cat "$dir/../answer")"
rm "$dir/ballast"
code=$(post)
echo "after: $code"
waiting() { curl -s -H "$authorization" "$server_url/metrics" | sed -n 's/^triggerfish_events_waiting //p'; }
until [ "$(waiting)" = 0 ]; do kill -0 $server; done
echo "workflows: $(curl -s -H "$authorization" "$server_url/api/v1/workflows/argo?fields=items.metadata.name" | grep -o '"name"' | wc -l) of $((accepted + 1))"
trap - EXIT
kill -9 $server
wait $server || true
mount -o remount,ro "$dir"
echo "read-only: $("$triggerfish" serve --data-dir "$dir/data" --http-address 127.0.0.1:0 --kube-address 127.0.0.1:0 --notification-address 127.0.0.1:0 --receiver-address 127.0.0.1:0 2>&1)"
