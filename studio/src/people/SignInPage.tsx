import { useMutation } from "@tanstack/react-query";
import { useId, useRef, useState } from "react";

import { signIn } from "../api/people";
import { failureFrom } from "../api/useModels";
import { useText } from "../i18n";
import { BrandIcon } from "../ui/icons";
import { useComposition } from "../ui/useComposition";
import { SecretField } from "./SecretField";
import { useFault } from "./useFault";
import { keepOnlyOf, wantedFrom } from "./ways";
import "./people.css";

/** Asks who one is. What is typed stays, whatever goes wrong. */
export function SignInPage() {
  const text = useText();
  const words = text.people.signIn;
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [empty, setEmpty] = useState(false);
  const id = useId();
  const first = useRef<HTMLInputElement>(null);
  const { inForm } = useComposition();
  const enter = useMutation({
    mutationFn: () => signIn({ key: null }, name, password),
    networkMode: "always",
    onSuccess: ({ person }) => {
      keepOnlyOf(person?.id ?? null);
      // A new page: nothing of whoever was here before stays in memory.
      window.location.replace(wantedFrom(window.location.search, window.location.origin));
    },
    onError: () => first.current?.focus(),
  });
  const { fault, wait } = useFault(enter.error ? failureFrom(enter.error) : null, words.wrong);
  const busy = enter.isPending || enter.isSuccess;
  const submit = () => {
    const missing = name.trim() === "" || password === "";
    setEmpty(missing);
    if (!missing && !busy && wait === 0) enter.mutate();
  };
  return (
    <main className="sign-in">
      <title>{`${words.title} · ${text.product}`}</title>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <p className="brand" translate="no">
          <BrandIcon />
          <span>{text.product}</span>
        </p>
        <h1>{words.title}</h1>
        <div className="entry">
          <label htmlFor={id}>{words.name}</label>
          <input
            id={id}
            ref={first}
            className="field"
            name="username"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            autoFocus
            maxLength={64}
            value={name}
            aria-describedby={`${id}-fault`}
            onChange={(event) => setName(event.target.value)}
            {...inForm}
          />
        </div>
        <SecretField
          label={words.password}
          name="password"
          autoComplete="current-password"
          value={password}
          describedBy={`${id}-fault`}
          onValue={setPassword}
        />
        <p id={`${id}-fault`} className="fault" role="alert">
          {empty ? words.empty : fault}
        </p>
        <button type="submit" className="button primary" aria-disabled={busy || wait > 0}>
          {busy ? words.busy : words.enter}
        </button>
        <p className="small soft">{words.help}</p>
      </form>
    </main>
  );
}
