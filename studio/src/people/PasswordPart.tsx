import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { changePassword, type Person } from "../api/people";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { SecretField } from "./SecretField";
import { useFault } from "./useFault";

/** What the server takes, so that it is said before the call. */
const SHORTEST = 10;

/** Changes the password, and with it ends every other session. */
export function PasswordPart({ person }: { person: Person }) {
  const text = useText();
  const words = text.people.password;
  const queries = useQueryClient();
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [short, setShort] = useState("");
  const save = useMutation({
    mutationFn: () => changePassword({ key: null }, current, next),
    networkMode: "always",
    onSuccess: (sessions) => {
      queries.setQueryData(["sessions"], sessions);
      setCurrent("");
      setNext("");
    },
  });
  const { fault, wait } = useFault(save.error ? failureFrom(save.error) : null, words.wrong);
  const submit = () => {
    const problem =
      current === "" ? words.empty : [...next.normalize()].length < SHORTEST ? words.short : "";
    setShort(problem);
    if (problem === "" && !save.isPending && wait === 0) save.mutate();
  };
  return (
    <section className="account">
      <h2>{words.title}</h2>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        {/* For password managers: whose password it is. */}
        <input
          type="text"
          name="username"
          autoComplete="username"
          value={person.name}
          readOnly
          hidden
        />
        <SecretField
          label={words.current}
          name="current"
          autoComplete="current-password"
          value={current}
          describedBy="password-fault"
          onValue={setCurrent}
        />
        <SecretField
          label={words.next}
          name="new"
          autoComplete="new-password"
          value={next}
          describedBy="password-why password-fault"
          onValue={setNext}
        />
        <p id="password-why" className="small soft">
          {words.why}
        </p>
        <p id="password-fault" className="fault" role="alert">
          {short || fault}
        </p>
        <p role="status">{save.isSuccess && current === "" && next === "" ? words.done : ""}</p>
        <button type="submit" className="button fit" aria-disabled={save.isPending || wait > 0}>
          {words.save}
        </button>
      </form>
    </section>
  );
}
