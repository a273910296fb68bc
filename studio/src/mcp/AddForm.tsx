import { useState } from "react";

import type { NewMcpServer } from "../api/mcp";
import { failureFrom } from "../api/useModels";
import { TextField } from "../assistants/inputs";
import { useText } from "../i18n";
import { Choice } from "../settings/Choice";
import { Command } from "../ui/Command";
import { Failed } from "../ui/Failed";
import { variables } from "./given";
import type { McpActs } from "./useMcp";

interface Props {
  mayAdd: boolean;
  /** There is none yet, so an example is offered. */
  isFirst: boolean;
  acts: McpActs;
}

const EMPTY = { name: "", line: "", url: "", env: "", bearer: "" };
/** Works without any other program and without a network: this Kataribe asks itself. */
const EXAMPLE = { ...EMPTY, name: "kataribe", line: "kataribe mcp serve" };

/** One more server, by its command line or its address. */
export function AddForm({ mayAdd, isFirst, acts }: Props) {
  const text = useText();
  const words = text.mcp;
  const [how, setHow] = useState<"command" | "address">("command");
  const [typed, setTyped] = useState(EMPTY);
  const { add } = acts;
  const set = (name: keyof typeof EMPTY) => (value: string) =>
    setTyped((before) => ({ ...before, [name]: value }));
  if (!mayAdd)
    return (
      <section className="stack">
        <h2>{words.add}</h2>
        <p>{words.mayNotAdd}</p>
        <Command command="kataribe mcp add NAME -- COMMAND" />
      </section>
    );
  const send = () => {
    if (add.isPending) return;
    add.mutate(bodyOf(how, typed), { onSuccess: () => setTyped(EMPTY) });
  };
  return (
    <section>
      <h2>{words.add}</h2>
      <form
        className="stack add"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        {isFirst ? (
          <div className="row">
            <button
              type="button"
              className="button"
              onClick={() => {
                setHow("command");
                setTyped(EXAMPLE);
              }}
            >
              {words.example}
            </button>
          </div>
        ) : null}
        <TextField
          label={words.name}
          value={typed.name}
          hint={words.nameWhy}
          onValue={set("name")}
        />
        <Choice
          label={words.how}
          value={how}
          options={[
            ["command", words.byCommand],
            ["address", words.byAddress],
          ]}
          onValue={setHow}
        />
        <Where how={how} typed={typed} set={set} />
        <div className="row">
          <button type="submit" className="button primary" aria-disabled={add.isPending}>
            {words.addDo}
          </button>
        </div>
        {add.isError ? <Failed failure={failureFrom(add.error)} onRetry={send} /> : null}
        <p role="status">{add.isSuccess ? words.added : ""}</p>
      </form>
    </section>
  );
}

interface WhereProps {
  how: "command" | "address";
  typed: typeof EMPTY;
  set: (name: keyof typeof EMPTY) => (value: string) => void;
}

function Where({ how, typed, set }: WhereProps) {
  const text = useText();
  const words = text.mcp;
  return how === "command" ? (
    <>
      <TextField
        label={words.line}
        value={typed.line}
        code
        hint={words.lineWhy}
        onValue={set("line")}
      />
      <TextField
        label={words.env}
        value={typed.env}
        code
        hint={words.envWhy}
        onValue={set("env")}
      />
    </>
  ) : (
    <>
      <TextField label={words.url} value={typed.url} code onValue={set("url")} />
      <TextField
        label={words.bearer}
        value={typed.bearer}
        code
        hint={words.bearerWhy}
        onValue={set("bearer")}
      />
    </>
  );
}

function bodyOf(how: "command" | "address", typed: typeof EMPTY): NewMcpServer {
  const name = typed.name.trim();
  const base = { name, line: "", url: "", env: [], bearer: "" };
  return how === "command"
    ? { ...base, line: typed.line.trim(), env: variables(typed.env) }
    : { ...base, url: typed.url.trim(), bearer: typed.bearer.trim() };
}
